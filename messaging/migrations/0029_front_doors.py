"""Forms in which clients are called, and the credentials of clients that speak Twilio's API."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("messaging", "0028_gateway_texts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="message",
            name="callback_dialect",
            field=models.CharField(blank=True, db_default="", default="", max_length=16),
        ),
        migrations.AddField(
            model_name="webhookendpoint",
            name="dialect",
            field=models.CharField(blank=True, choices=[("", "Standard Webhooks"), ("twilio", "Twilio")], db_default="", default="", max_length=8),
        ),
        migrations.AddField(
            model_name="webhookendpoint",
            name="number",
            field=models.CharField(blank=True, db_default="", default="", max_length=16),
        ),
        migrations.CreateModel(
            name="TwilioAccount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sid", models.CharField(editable=False, max_length=34, unique=True, verbose_name="account SID")),
                ("auth_token", models.TextField(editable=False)),
                ("auth_token_digest", models.CharField(editable=False, max_length=64)),
                ("secondary_token", models.TextField(blank=True, editable=False)),
                ("secondary_token_digest", models.CharField(blank=True, editable=False, max_length=64)),
                ("created_at", models.DateTimeField(editable=False)),
                ("last_used_at", models.DateTimeField(editable=False, null=True)),
                ("revoked_at", models.DateTimeField(editable=False, null=True)),
                ("user", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL)),
            ],
            options={
                "verbose_name": "Twilio credential",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="TwilioApiKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sid", models.CharField(editable=False, max_length=34, unique=True, verbose_name="key SID")),
                ("secret_digest", models.CharField(editable=False, max_length=64)),
                ("label", models.CharField(blank=True, max_length=100)),
                ("created_at", models.DateTimeField(editable=False)),
                ("last_used_at", models.DateTimeField(editable=False, null=True)),
                ("revoked_at", models.DateTimeField(editable=False, null=True)),
                ("account", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="api_keys", to="messaging.twilioaccount")),
            ],
            options={
                "verbose_name": "Twilio API key",
                "ordering": ["-id"],
            },
        ),
    ]
