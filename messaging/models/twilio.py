"""Credentials of clients that speak Twilio's API."""

from django.conf import settings
from django.db import models

SID_LENGTH = 34  # two letters and 32 hexadecimal digits


class TwilioAccount(models.Model):
    """One user's account sid and auth token, and while the token is being replaced a secondary one.

    The tokens sign our callbacks, so they are stored encrypted (`messaging.sealing`); requests are compared with the digests.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    sid = models.CharField("account SID", max_length=SID_LENGTH, unique=True, editable=False)
    auth_token = models.TextField(editable=False)
    auth_token_digest = models.CharField(max_length=64, editable=False)
    secondary_token = models.TextField(blank=True, editable=False)
    secondary_token_digest = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "Twilio credential"
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.sid


class TwilioApiKey(models.Model):
    """A key of an account, for one of its applications. Only a digest of the secret is stored."""

    account = models.ForeignKey(TwilioAccount, on_delete=models.CASCADE, related_name="api_keys")
    sid = models.CharField("key SID", max_length=SID_LENGTH, unique=True, editable=False)
    secret_digest = models.CharField(max_length=64, editable=False)
    label = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "Twilio API key"
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.sid
