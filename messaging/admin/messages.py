"""One message and everything that happened to it."""

from collections.abc import Callable
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.auth import get_permission_codename
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from messaging import doorbell
from messaging.admin.read_only import ReadOnlyAdmin, ReadOnlyMixin
from messaging.models import DeliveryAttempt, Message, MessageEvent, ProviderCallback
from messaging.services.cancel import cancel
from messaging.services.errors import DomainError
from messaging.services.retry import retry
from messaging.states import Source


class EventInline(ReadOnlyMixin, admin.TabularInline):
    model = MessageEvent
    fields = ["at", "from_status", "to_status", "source", "provider_slug", "detail", "actor"]
    extra = 0


class AttemptInline(ReadOnlyMixin, admin.TabularInline):
    model = DeliveryAttempt
    fields = [
        "number",
        "provider",
        "outcome",
        "error_code",
        "error_detail",
        "provider_message_id",
        "latency_ms",
        "started_at",
    ]
    extra = 0


class CallbackInline(ReadOnlyMixin, admin.TabularInline):
    model = ProviderCallback
    fields = ["received_at", "provider", "word", "error_code", "state", "note"]
    extra = 0


class ReasonForm(ActionForm):
    reason = forms.CharField(max_length=200, required=False, help_text="Needed to retry; stands in the history.")


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "created_at",
        "direction",
        "status",
        "from_number",
        "to_number",
        "queue",
        "provider",
        "error_code",
    ]
    list_filter = ["status", "direction", "queue", "provider"]
    list_select_related = ["queue", "provider"]
    search_fields = ["to_number__startswith", "reference__startswith", "provider_message_id__startswith", "id__exact"]
    search_help_text = "The start of a number (with +), of a reference or of a provider's message id, or a whole id"
    ordering = ["-pk"]
    inlines = [EventInline, AttemptInline, CallbackInline]
    action_form = ReasonForm
    actions = ["cancel_selected", "retry_selected"]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"messaging.{get_permission_codename('change', self.opts)}")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("messaging.retry_message")

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        self._each(
            request,
            queryset,
            "canceled",
            lambda pk: cancel(message_id=pk, actor=request.user, now=timezone.now(), source=Source.ADMIN),
        )

    @admin.action(description="Retry (with a reason)", permissions=["retry"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        reason = request.POST.get("reason", "").strip()
        if not reason:
            self.message_user(request, "Give a reason: it stands in the history.", messages.ERROR)
            return
        done = self._each(
            request,
            queryset,
            "queued again",
            lambda pk: retry(message_id=pk, reason=reason[:200], actor=request.user, now=timezone.now()),
        )
        for queue_name in {message.queue_id for message in done}:
            doorbell.ring(queue_name)

    def _each(
        self, request: HttpRequest, queryset: QuerySet[Message], done_word: str, act: Callable[[UUID], Message]
    ) -> list[Message]:
        done: list[Message] = []
        refusals: dict[str, int] = {}
        for pk in queryset.order_by("pk").values_list("pk", flat=True):
            try:
                done.append(act(pk))
            except DomainError as error:
                refusals[error.detail] = refusals.get(error.detail, 0) + 1
        if done:
            self.message_user(request, f"{len(done)} {done_word}.", messages.SUCCESS)
        for detail, count in refusals.items():
            self.message_user(request, f"{count} not: {detail}", messages.WARNING)
        return done
