"""Message templates. A template is a name; what it says is in its versions, which never change."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging.categories import Category
from messaging.policy.template_content import TemplateVariable


class MessageTemplate(models.Model):
    """`newest` is the number of the version that new messages use. Without an owner it is for everybody."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    name = models.CharField(max_length=100)
    newest = models.PositiveIntegerField(default=1)
    archived_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # Reader also: services.templates.lookup, the templates of an owner by name
            models.UniqueConstraint(
                name="template_name_once_per_owner",
                fields=["owner", "name"],
                condition=Q(archived_at__isnull=True, owner__isnull=False),
            ),
            models.UniqueConstraint(
                name="template_name_once_for_all",
                fields=["name"],
                condition=Q(archived_at__isnull=True, owner__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TemplateVersion(models.Model):
    """`texts` are by language; `variables` a list of `{"name", "sample", "max_length"}`. Immutable."""

    id = models.BigAutoField(primary_key=True)
    template = models.ForeignKey(MessageTemplate, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    category = models.CharField(max_length=13, choices=[(each.value, each.value) for each in Category])
    parameters = models.JSONField(default=dict, blank=True)
    smart_encoding = models.BooleanField(default=False)
    default_language = models.CharField(max_length=35)
    texts = models.JSONField()
    variables = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(name="template_version_once", fields=["template", "number"]),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"

    def variable_list(self) -> list[TemplateVariable]:
        return [TemplateVariable(**each) for each in self.variables]
