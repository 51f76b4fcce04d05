"""Whether a reply that the answer to a delivery asked for was stored."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("messaging", "0031_owner_sent"),
    ]

    operations = [
        migrations.AddField(
            model_name="webhookdelivery",
            name="is_replied",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
