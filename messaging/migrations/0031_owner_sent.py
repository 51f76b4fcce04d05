"""Messages of one owner by the time at which they were sent."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("messaging", "0030_alerts"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("sent_at__isnull", False)), fields=["owner", "sent_at"], name="message_owner_sent"
            ),
        ),
    ]
