"""The page that sends one test message directly through one provider account."""

import logging
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from uuid_utils.compat import uuid7

from messaging import e164
from messaging.console import audit
from messaging.console.forms import StyledForm
from messaging.console.staff import staff_of
from providers.models import ProviderAccount
from providers.test_send import TestSendResult, send_test_message

logger = logging.getLogger(__name__)

MAX_TEXT = 160


class TestMessageForm(StyledForm):
    to = forms.CharField(
        label="To", max_length=e164.MAX_INPUT, help_text="A phone that you can check, with + and the country code."
    )
    text = forms.CharField(max_length=MAX_TEXT, initial="Test message from Switchboard.")

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
    form = TestMessageForm(request.POST or None)
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


def _send(account: ProviderAccount, form: TestMessageForm) -> TestSendResult:
    data = form.cleaned_data
    try:
        return send_test_message(account=account, to=data["to"], text=data["text"], reference=f"test-{uuid7()}")
    except Exception as fault:  # noqa: BLE001 (a bug in a backend is a result of the test too)
        logger.error("backend %s raised an unexpected %s", account.backend, type(fault).__name__)
        return TestSendResult("", "backend_fault", f"The backend failed with {type(fault).__name__}.", 0)
