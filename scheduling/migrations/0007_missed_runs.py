"""Which missed runs of a schedule are made up for."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("scheduling", "0006_one_form_of_each_number"),
    ]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="missed",
            field=models.CharField(choices=[("latest", "only the latest"), ("all", "all of them"), ("none", "none")], db_default="latest", default="latest", max_length=6),
        ),
    ]
