"""How long texts and rows are kept, and the proofs of what was erased on request."""

from django.contrib import admin

from console.model_admin import ModelAdmin, ReadOnlyAdmin
from messaging.models import Erasure, RetentionRule


@admin.register(RetentionRule)
class RetentionRuleAdmin(ModelAdmin):
    list_display = ["__str__", "text_days", "row_days"]
    list_select_related = ["owner", "queue"]
    fields = ["owner", "queue", "text_days", "row_days"]


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    list_display = ["pseudonym", "at", "messages", "actor", "reason"]
    list_select_related = ["actor"]
    fields = ["pseudonym", "at", "messages", "actor", "reason", "digest"]
