"""Dates that a schedule leaves out or adds, and its holiday calendar."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("scheduling", "0007_missed_runs"),
    ]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="left_out_dates",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="schedule",
            name="added_dates",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="schedule",
            name="holidays",
            field=models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
        migrations.AddField(
            model_name="schedule",
            name="last_added_wall",
            field=models.CharField(blank=True, db_default="", default="", max_length=26),
        ),
    ]
