from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0046_carrier_prices'),
    ]

    operations = [
        migrations.AddField(
            model_name='outboundqueue',
            name='use_conversion',
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
