from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0043_opt_out_cases_and_channels'),
    ]

    operations = [
        migrations.AddField(
            model_name='outboundqueue',
            name='use_conversion',
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
