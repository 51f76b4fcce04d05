"""Files besides images, copies of another type, and smaller copies for providers with a limit."""

import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('media_store', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='MediaRendition',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('profile', models.CharField(max_length=40)),
                ('content_type', models.CharField(max_length=20)),
                ('size', models.PositiveIntegerField()),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='mediaasset',
            name='asset_content_type_word',
        ),
        migrations.AddField(
            model_name='mediaasset',
            name='clean_content_type',
            field=models.CharField(blank=True, db_default='', default='', max_length=20),
        ),
        migrations.AlterField(
            model_name='mediaasset',
            name='content_type',
            field=models.CharField(choices=[('image/jpeg', 'image/jpeg'), ('image/png', 'image/png'), ('image/gif', 'image/gif'), ('image/webp', 'image/webp'), ('image/heic', 'image/heic'), ('image/avif', 'image/avif'), ('application/pdf', 'application/pdf'), ('audio/aac', 'audio/aac'), ('audio/amr', 'audio/amr'), ('audio/mp4', 'audio/mp4'), ('audio/mpeg', 'audio/mpeg'), ('audio/ogg', 'audio/ogg'), ('audio/wav', 'audio/wav'), ('text/vcard', 'text/vcard'), ('video/3gpp', 'video/3gpp'), ('video/mp4', 'video/mp4'), ('video/quicktime', 'video/quicktime'), ('video/webm', 'video/webm')], max_length=20),
        ),
        migrations.AlterField(
            model_name='mediaasset',
            name='height',
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='mediaasset',
            name='width',
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddConstraint(
            model_name='mediaasset',
            constraint=models.CheckConstraint(condition=models.Q(('content_type__in', ['image/jpeg', 'image/png', 'image/gif', 'image/webp', 'image/heic', 'image/avif', 'application/pdf', 'audio/aac', 'audio/amr', 'audio/mp4', 'audio/mpeg', 'audio/ogg', 'audio/wav', 'text/vcard', 'video/3gpp', 'video/mp4', 'video/quicktime', 'video/webm'])), name='asset_content_type_known'),
        ),
        migrations.AddConstraint(
            model_name='mediaasset',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('height__isnull', False), ('width__isnull', False)), models.Q(('content_type__startswith', 'image/'), _negated=True), _connector='OR'), name='asset_image_has_size'),
        ),
        migrations.AddField(
            model_name='mediarendition',
            name='asset',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='renditions', to='media_store.mediaasset'),
        ),
        migrations.AddConstraint(
            model_name='mediarendition',
            constraint=models.UniqueConstraint(fields=('asset', 'profile'), name='rendition_once_per_profile'),
        ),
    ]
