"""Interfaces that an operator enables; until then their paths do not exist."""

from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

View = Callable[[HttpRequest], HttpResponse]


def enabled_by(setting: str) -> Callable[[View], View]:
    """Raise `Http404` unless the setting is true, whatever the method."""

    def decorate(view: View) -> View:
        @wraps(view)
        def enabled_view(request: HttpRequest) -> HttpResponse:
            if not getattr(settings, setting):
                raise Http404
            return view(request)

        return enabled_view

    return decorate
