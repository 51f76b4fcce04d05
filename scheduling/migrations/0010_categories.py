"""Categories of schedules: their messages have them."""

import messaging.categories
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0034_categories'),
        ('scheduling', '0009_list_imports'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='schedule',
            name='category',
            field=models.CharField(choices=[(messaging.categories.Category['TRANSACTIONAL'], messaging.categories.Category['TRANSACTIONAL']), (messaging.categories.Category['OTP'], messaging.categories.Category['OTP']), (messaging.categories.Category['MARKETING'], messaging.categories.Category['MARKETING']), (messaging.categories.Category['EMERGENCY'], messaging.categories.Category['EMERGENCY'])], db_default='transactional', default=messaging.categories.Category['TRANSACTIONAL'], max_length=13),
        ),
        migrations.AddField(
            model_name='schedule',
            name='parameters',
            field=models.JSONField(null=True),
        ),
        migrations.AddConstraint(
            model_name='schedule',
            constraint=models.CheckConstraint(condition=models.Q(('category__in', ['transactional', 'otp', 'marketing', 'emergency'])), name='schedule_category_known'),
        ),
    ]
