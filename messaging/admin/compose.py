"""The page to write and send one message. Segments are counted by the code that sends it."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.admin.models import ADDITION
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from messaging import e164, notifier, segments
from messaging.admin.compose_check import check_panel
from messaging.categories import Category
from messaging.console import audit
from messaging.console.forms import StyledForm, set_choices
from messaging.console.staff import staff_of
from messaging.models import Message, OutboundQueue
from messaging.services.errors import DomainError, EmergencyNotAllowed, InvalidField
from messaging.services.outbound.dry_run import dry_run
from messaging.services.outbound.submit import DEFAULT_VALID_FOR, SEND_EMERGENCY, MessageInput, submit
from messaging.states import Source
from providers.models import SenderNumber

PERMISSION = "messaging.add_message"
CATEGORY_NAMES = {
    Category.TRANSACTIONAL: "Transactional: reminders, confirmations, answers",
    Category.OTP: "One-time password",
    Category.MARKETING: "Marketing",
    Category.EMERGENCY: "Emergency: goes first, at any hour",
}
FORM_FIELDS = {"message": "text", "from": "sender"}


class ComposeForm(StyledForm):
    to = forms.CharField(
        label="To",
        max_length=e164.MAX_INPUT,
        help_text="With + and the country code, such as +1 415 555 0101.",
        widget=forms.TextInput(attrs={"inputmode": "tel", "autocomplete": "off"}),
    )
    text = forms.CharField(
        label="Text", strip=False, max_length=segments.MAX_OUTBOUND_CHARACTERS, widget=forms.Textarea(attrs={"rows": 5})
    )
    sender = forms.ChoiceField(label="From", required=False)
    queue = forms.ModelChoiceField(OutboundQueue.objects.all(), empty_label=None)
    category = forms.ChoiceField(
        initial=Category.TRANSACTIONAL,
        required=False,
        help_text="What the text is for. One-time passwords go first; marketing keeps the hours that apply to it.",
    )
    reference = forms.CharField(
        max_length=100, required=False, help_text="Your own reference, to find the message later."
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = SenderNumber.objects.filter(Q(owner=user) | Q(owner__isnull=True)).values_list("number", flat=True)
        set_choices(self.fields["sender"], [("", "the default sender"), *((sender, sender) for sender in own)])
        set_choices(self.fields["category"], categories_of(user))
        self.fields["queue"].initial = settings.DEFAULT_QUEUE

    def clean_text(self) -> str:
        return normalise_line_breaks(self.cleaned_data["text"])

    def clean_to(self) -> str:
        try:
            return e164.normalise(self.cleaned_data["to"])
        except e164.InvalidNumber as error:
            raise forms.ValidationError(str(error)) from None


def categories_of(user: Any) -> list[tuple[str, str]]:
    """The categories that the user may choose, with their names for pages."""
    allowed = [each for each in Category if each is not Category.EMERGENCY or user.has_perm(SEND_EMERGENCY)]
    return [(each.value, CATEGORY_NAMES[each]) for each in allowed]


def compose(request: HttpRequest, model_admin: Any) -> HttpResponse:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    initial = {"to": request.GET.get("to", "")}
    form = ComposeForm(request.POST or None, user=staff_of(request), initial=initial)
    checked = None
    if request.method == "POST" and form.is_valid():
        if "check" in request.POST:
            checked = _check(form, request)
        elif (message := _submit(form, request)) is not None:
            model_admin.message_user(request, "The message is queued.")
            return HttpResponseRedirect(reverse("admin:messaging_message_change", args=[message.pk]))
    context = {
        **model_admin.admin_site.each_context(request),
        "model_admin": model_admin,
        "content_title": "Send a message",
        "title": "Send a message",
        "form": form,
        "checked": checked,
        "counted": segment_count(normalise_line_breaks(form["text"].value() or "")),
    }
    return TemplateResponse(request, "admin/messaging/message/compose.html", context)


def _check(form: ComposeForm, request: HttpRequest) -> dict[str, Any] | None:
    try:
        found = dry_run(
            owner=staff_of(request),
            draft=_draft(form.cleaned_data),
            default_queue=settings.DEFAULT_QUEUE,
            now=timezone.now(),
        )
    except DomainError as error:
        _add_error(form, error)
        return None
    return check_panel(found)


def _submit(form: ComposeForm, request: HttpRequest) -> Message | None:
    user = staff_of(request)
    try:
        message = submit(
            owner=user,
            draft=_draft(form.cleaned_data),
            default_queue=settings.DEFAULT_QUEUE,
            now=timezone.now(),
            source=Source.ADMIN,
        )
    except DomainError as error:
        _add_error(form, error)
        return None
    if message.queue_id:
        notifier.notify_queue(message.queue_id)
    audit.record(user, [message], "Sent from the console", flag=ADDITION)
    return message


def _draft(data: dict[str, Any]) -> MessageInput:
    return MessageInput(
        to=data["to"],
        text=data["text"],
        valid_for=DEFAULT_VALID_FOR,
        sender=data["sender"] or None,
        queue=data["queue"].pk,
        reference=data["reference"],
        category=data["category"] or Category.TRANSACTIONAL,
    )


def _add_error(form: ComposeForm, error: DomainError) -> None:
    if isinstance(error, InvalidField):
        field = FORM_FIELDS.get(error.field, error.field)
        form.add_error(field if field in form.fields else None, error.detail)
    else:
        form.add_error("category" if isinstance(error, EmergencyNotAllowed) else "to", error.detail)


@require_POST
def count_segments(request: HttpRequest, model_admin: Any) -> JsonResponse:
    """Return the segment count of the form's text, while it is being typed."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    return JsonResponse(segment_count(normalise_line_breaks(request.POST.get("text", ""))))


def normalise_line_breaks(text: str) -> str:
    """Forms submit a line break as CR and LF. The CR would be sent and paid for without any effect."""
    return text.replace("\r\n", "\n")


def segment_count(text: str) -> dict[str, Any]:
    counted = segments.measure(text)
    return {
        "encoding": "GSM-7" if counted.encoding is segments.Encoding.GSM7 else "UCS-2",
        "characters": len(text),
        "units": counted.units,
        "segments": counted.segments if text else 0,
        "max_segments": segments.MAX_SEGMENTS,
        "fits": counted.segments <= segments.MAX_SEGMENTS,
    }
