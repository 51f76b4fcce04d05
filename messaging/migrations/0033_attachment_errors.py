"""Why a file of an inbound text is missing, as a code for programs."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('media_store', '0002_files_and_renditions'),
        ('messaging', '0032_replied_deliveries'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='attachment',
            name='attachment_asset_or_address',
        ),
        migrations.AddField(
            model_name='attachment',
            name='error_code',
            field=models.CharField(blank=True, db_default='', default='', max_length=40),
        ),
        migrations.AddConstraint(
            model_name='attachment',
            constraint=models.CheckConstraint(condition=models.Q(('asset__isnull', False), models.Q(('source_url', ''), _negated=True), models.Q(('error_code', ''), _negated=True), _connector='OR'), name='attachment_asset_address_or_error'),
        ),
    ]
