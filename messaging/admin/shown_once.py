"""Secrets that are shown once, in the response to the POST that creates them: a redirect would have to keep them somewhere.

A reload of that page sends the form again, so each form is accepted once per session.
"""

import secrets
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

FORM_ID = "form_id"
USED_FORMS = "used_forms_with_secrets"
USED_FORMS_KEPT = 20


def form_id_field() -> forms.CharField:
    return forms.CharField(required=False, initial=partial(secrets.token_urlsafe, 16), widget=forms.HiddenInput)


def is_used(request: HttpRequest) -> bool:
    """Whether the form of this POST has been accepted before."""
    form_id = request.POST.get(FORM_ID)
    return bool(form_id) and form_id in request.session.get(USED_FORMS, ())


def use(request: HttpRequest, form_id: str) -> None:
    """Accept the form; `is_used` is true from now on."""
    request.session[USED_FORMS] = [*request.session.get(USED_FORMS, ()), form_id][-USED_FORMS_KEPT:]


def to_list(model_admin: Any, request: HttpRequest, reason: str) -> HttpResponse:
    """Return to the list of the model, with a warning."""
    model_admin.message_user(request, reason, messages.WARNING)
    return HttpResponseRedirect(reverse(f"admin:messaging_{model_admin.opts.model_name}_changelist"))


def page(model_admin: Any, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """The page with the secret. No cache keeps it."""
    response = TemplateResponse(request, template, {**model_admin.admin_site.each_context(request), **context})
    response["Cache-Control"] = "no-store"
    return response
