"""The page that sends one test message directly through one provider account."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from messaging import e164
from messaging.console import audit
from messaging.console.forms import StyledForm
from messaging.console.staff import staff_of
from messaging.segments import measure
from providers.models import ProviderAccount
from providers.state.exchange_log import Exchange
from providers.test_send import MAX_TEXT, TestMessage, default_text, send_test_message


class TestMessageForm(StyledForm):
    to = forms.CharField(
        label="To", max_length=e164.MAX_INPUT, help_text="A phone that you can check, with + and the country code."
    )
    text = forms.CharField(max_length=MAX_TEXT)

    def clean_to(self) -> str:
        try:
            return e164.normalise(self.cleaned_data["to"])
        except e164.InvalidNumber as error:
            raise forms.ValidationError(str(error)) from None


def test_message_page(request: HttpRequest, slug: str, model_admin: Any) -> HttpResponse:
    account = ProviderAccount.objects.filter(pk=slug).first()
    if account is None:
        raise Http404
    if not model_admin.has_change_permission(request, account):
        raise PermissionDenied
    form = TestMessageForm(request.POST or None, initial={"text": default_text(account.backend)})
    result = _send(account, form) if request.method == "POST" and form.is_valid() else None
    if result is not None:
        outcome = result.error_code or "accepted"
        audit.record(staff_of(request), [account], f"Sent a test message to {form.cleaned_data['to']}: {outcome}")
    context = {
        **model_admin.admin_site.each_context(request),
        "model_admin": model_admin,
        "content_title": "Test message",
        "title": "Test message",
        "account": account,
        "form": form,
        "result": result,
    }
    return TemplateResponse(request, "admin/providers/provideraccount/test.html", context)


def _send(account: ProviderAccount, form: TestMessageForm) -> Exchange:
    to, text = form.cleaned_data["to"], form.cleaned_data["text"]
    size = measure(text)
    return send_test_message(account, TestMessage(to, text, encoding=size.encoding, segments=size.segments))
