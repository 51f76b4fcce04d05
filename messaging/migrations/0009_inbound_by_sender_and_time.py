"""The index by which a person's last minute is read."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0008_attempt_look_ups"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("direction", "inbound")),
                fields=["from_number", "received_at"],
                name="message_inbound_recent",
            ),
        ),
    ]
