"""Retention rules for texts and messages, and the records of erasures on request."""

from django.contrib import admin

from messaging.console.columns import name_of
from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import ModelAdmin, ReadOnlyAdmin
from messaging.models import Erasure, RetentionRule


class RetentionRuleForm(StyledModelForm):
    class Meta:
        model = RetentionRule
        fields = ["owner", "queue", "text_days", "row_days"]
        help_texts = {
            "owner": "Empty: messages of all owners.",
            "queue": "Empty: messages of all queues.",
            "text_days": "Days after which the text and files of a finished message are deleted. Empty: never.",
            "row_days": "Days after which the message itself is deleted. Empty: never.",
        }


@admin.register(RetentionRule)
class RetentionRuleAdmin(ModelAdmin):
    form = RetentionRuleForm
    list_display = ["__str__", "text_days", "row_days"]
    list_select_related = ["owner", "queue"]
    fields = ("owner", "queue", "text_days", "row_days")


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    list_display = ["pseudonym", "at", "messages", "actor", "reason"]
    list_select_related = ["actor"]
    fields = readonly_fields = ("pseudonym", "at", "messages", "actor_name", "reason", "digest")
    actor_name = name_of("actor", "Actor")
