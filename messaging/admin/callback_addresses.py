"""The page with the addresses of an account's callbacks. Their token is a secret, so they are shown on request only."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from messaging.console import audit
from messaging.console.staff import staff_of
from providers import services
from providers.errors import Misconfigured
from providers.models import ProviderAccount


def callback_addresses_page(request: HttpRequest, slug: str, model_admin: Any) -> HttpResponse:
    """Answers a POST, which the audit log records; anything else leads back to the account."""
    account = ProviderAccount.objects.filter(pk=slug).first()
    if account is None:
        raise Http404
    if not model_admin.has_change_permission(request, account):
        raise PermissionDenied
    addresses = addresses_of(account) if request.method == "POST" else None
    if addresses is None:
        return HttpResponseRedirect(reverse("admin:providers_provideraccount_change", args=[account.pk]))
    audit.record(staff_of(request), [account], "Showed the callback addresses")
    context = {
        **model_admin.admin_site.each_context(request),
        "model_admin": model_admin,
        "content_title": "Callback addresses",
        "title": "Callback addresses",
        "account": account,
        "addresses": addresses,
    }
    return TemplateResponse(request, "admin/providers/provideraccount/callback_addresses.html", context)


def addresses_of(account: ProviderAccount) -> services.CallbackAddresses | None:
    """None for an account without callbacks, and for one that cannot be used."""
    try:
        return services.callback_addresses(account)
    except Misconfigured:
        return None
