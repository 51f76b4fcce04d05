"""Writing one message by hand, with its segments counted by the same arithmetic that sends it."""

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
from messaging.console import audit
from messaging.console.forms import StyledForm
from messaging.models import Message, OutboundQueue
from messaging.services.errors import DomainError, InvalidField
from messaging.services.outbound.submit import DEFAULT_VALID_FOR, MessageInput, submit
from messaging.states import Source
from providers.models import SenderNumber

PERMISSION = "messaging.add_message"
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
    reference = forms.CharField(max_length=100, required=False, help_text="Yours, to find it again.")

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = SenderNumber.objects.filter(Q(owner=user) | Q(owner__isnull=True)).values_list("number", flat=True)
        self.fields["sender"].choices = [("", "the default number"), *((str(number), str(number)) for number in own)]
        self.fields["queue"].initial = settings.DEFAULT_QUEUE

    def clean_text(self) -> str:
        return as_typed(self.cleaned_data["text"])

    def clean_to(self) -> str:
        try:
            return e164.normalise(self.cleaned_data["to"])
        except e164.InvalidNumber as error:
            raise forms.ValidationError(str(error)) from None


def compose(request: HttpRequest, model_admin: Any) -> HttpResponse:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    start = {"to": request.GET.get("to", "")}
    form = ComposeForm(request.POST or None, user=request.user, initial=start)
    if request.method == "POST" and form.is_valid():
        message = _submit(form, request)
        if message is not None:
            model_admin.message_user(request, "The message is queued.")
            return HttpResponseRedirect(reverse("admin:messaging_message_change", args=[message.pk]))
    context = {
        **model_admin.admin_site.each_context(request),
        "model_admin": model_admin,
        "content_title": "Send a message",
        "title": "Send a message",
        "form": form,
        "measured": measurement(as_typed(form["text"].value() or "")),
    }
    return TemplateResponse(request, "admin/messaging/message/compose.html", context)


def _submit(form: ComposeForm, request: HttpRequest) -> Message | None:
    data = form.cleaned_data
    draft = MessageInput(
        to=data["to"],
        text=data["text"],
        valid_for=DEFAULT_VALID_FOR,
        sender=data["sender"] or None,
        queue=data["queue"].pk,
        reference=data["reference"],
    )
    try:
        message = submit(
            owner=request.user,
            draft=draft,
            default_queue=settings.DEFAULT_QUEUE,
            now=timezone.now(),
            source=Source.ADMIN,
        )
    except InvalidField as error:
        field = FORM_FIELDS.get(error.field, error.field)
        form.add_error(field if field in form.fields else None, error.detail)
        return None
    except DomainError as error:
        form.add_error("to", error.detail)
        return None
    notifier.notify_queue(message.queue_id)
    audit.record(request.user, [message], "Sent from the console", flag=ADDITION)
    return message


@require_POST
def measure(request: HttpRequest, model_admin: Any) -> JsonResponse:
    """What the text of the form takes; asked while somebody types."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    return JsonResponse(measurement(as_typed(request.POST.get("text", ""))))


def as_typed(text: str) -> str:
    """A form sends each line break as two characters; one of them would be sent, and paid for, for nothing."""
    return text.replace("\r\n", "\n")


def measurement(text: str) -> dict[str, Any]:
    measured = segments.measure(text)
    return {
        "encoding": "GSM-7" if measured.encoding is segments.Encoding.GSM7 else "UCS-2",
        "characters": len(text),
        "units": measured.units,
        "segments": measured.segments if text else 0,
        "max_segments": segments.MAX_SEGMENTS,
        "fits": measured.segments <= segments.MAX_SEGMENTS,
    }
