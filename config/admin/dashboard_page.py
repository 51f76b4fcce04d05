"""The console's first page, and what it asks for every few seconds while somebody looks at it."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.admin import dashboard

PERMISSION = "messaging.view_message"
PARTS = ("top", "rest")


def index(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds the figures to the page, for whoever may see messages; the others get their links."""
    context["may_see_figures"] = request.user.has_perm(PERMISSION)
    if context["may_see_figures"]:
        context["dashboard"] = dashboard.read(now=timezone.now())
    return context


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The chart's figures, and the rest of the page as the page itself would draw it."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    context = {"dashboard": dashboard.read(now=timezone.now())}
    parts = {part: render_to_string(f"console/dashboard_{part}.html", context, request) for part in PARTS}
    return JsonResponse({"chart": context["dashboard"].chart, **parts})
