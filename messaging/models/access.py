"""API tokens."""

from django.db import models
from knox.models import AbstractAuthToken


class ApiToken(AbstractAuthToken):
    """A bearer token, stored only as a digest. `name` describes the purpose of a long-lived one."""

    name = models.CharField(max_length=100, blank=True)

    class Meta:
        verbose_name = "API token"
        ordering = ["-created"]

    def __str__(self) -> str:
        return f"{self.name or 'token'} of {self.user} ({self.token_key}…)"
