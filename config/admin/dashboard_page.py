"""The dashboard page, and the data it polls for every few seconds while it is visible."""

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
    """Add the figures to the context for users who may see messages. Others get a page without figures."""
    context["may_see_figures"] = request.user.has_perm(PERMISSION)
    if context["may_see_figures"]:
        context["dashboard"] = dashboard.read(now=timezone.now())
    return context


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Return the chart's data, and the other parts of the page as HTML."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    figures = dashboard.read(now=timezone.now())
    context = {"dashboard": figures}
    parts = {part: render_to_string(f"console/dashboard_{part}.html", context, request) for part in PARTS}
    return JsonResponse({"chart": figures.chart, **parts})
