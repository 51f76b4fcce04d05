"""Message templates and their versions, to read. They are written over the API, which checks each version."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from messaging import segments, text_templates
from messaging.console.model_admin import ReadOnlyAdmin, ReadOnlyMixin, TabularInline
from messaging.models import MessageTemplate, TemplateVersion
from messaging.policy import smart_encoding

TONES = {"in use": "success", "archived": "info"}


class VersionInline(ReadOnlyMixin, TabularInline):
    model = TemplateVersion
    fields = ("number", "category", "text_list", "variable_names", "created_at", "saved_by")
    readonly_fields = fields
    verbose_name_plural = "versions, the newest first"
    per_page = 20

    def get_queryset(self, request: HttpRequest) -> QuerySet[TemplateVersion]:
        rows: QuerySet[TemplateVersion] = super().get_queryset(request)
        return rows.select_related("created_by")

    @display(description="Texts")
    def text_list(self, row: TemplateVersion) -> SafeString:
        """Each language with its text and, with the samples, how many segments it takes."""
        samples = {each.name: each.sample for each in row.variable_list()}
        lines = []
        for language, text in sorted(row.texts.items(), key=lambda each: each[0] != row.default_language):
            filled = text_templates.render_with_positions(text, samples)[0]
            size = segments.measure(smart_encoding.smart_encoded(filled) if row.smart_encoding else filled)
            unit = "segment" if size.segments == 1 else "segments"
            lines.append((language, text, f"{size.segments} {unit}, {size.encoding}"))
        return format_html_join("", "<p><strong>{}</strong> {} <span>({})</span></p>", lines)

    @display(description="Variables")
    def variable_names(self, row: TemplateVersion) -> str:
        return ", ".join(f"{each.name} (such as {each.sample})" for each in row.variable_list()) or "none"

    @display(description="Saved by")
    def saved_by(self, row: TemplateVersion) -> str:
        return row.created_by.get_username() if row.created_by else "a deleted user"


@admin.register(MessageTemplate)
class MessageTemplateAdmin(ReadOnlyAdmin):
    list_display = ["name", "state", "category", "languages", "newest", "whose", "updated_at"]
    list_select_related = ["owner"]
    search_fields = ["name__istartswith"]
    search_help_text = "The start of a name"
    sortable_by = ()
    fields = ("name", "state", "whose", "newest", "created_at", "updated_at", "how_to_change")
    readonly_fields = fields
    inlines = [VersionInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[MessageTemplate]:
        newest = TemplateVersion.objects.filter(template=OuterRef("pk"), number=OuterRef("newest"))
        rows: QuerySet[MessageTemplate] = super().get_queryset(request)
        return rows.annotate(
            newest_category=Subquery(newest.values("category")), newest_texts=Subquery(newest.values("texts"))
        )

    @display(description="Status", label=TONES)
    def state(self, row: MessageTemplate) -> str:
        return "archived" if row.archived_at else "in use"

    @display(description="Category")
    def category(self, row: Any) -> str:
        return str(row.newest_category)

    @display(description="Languages")
    def languages(self, row: Any) -> str:
        return ", ".join(sorted(row.newest_texts))

    @display(description="For")
    def whose(self, row: MessageTemplate) -> str:
        return row.owner.get_username() if row.owner else "everybody"

    @display(description="To change it")
    def how_to_change(self, row: MessageTemplate) -> SafeString:
        return format_html("<code>PATCH /api/v1/templates/{}/</code> saves another version.", row.pk)
