"""The console's log-in page. It refuses addresses with too many failed log-ins for a while."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import Throttled

from messaging.api.throttling import refuse_guessing
from messaging.request_limits import count_failure


def login(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return admin.site.login(request)
    try:
        refuse_guessing(request)
    except Throttled as refusal:
        wait = str(max(1, int(getattr(refusal, "wait", None) or 1)))
        text = f"Too many failed log-ins from this address. Try again in {wait} seconds.\n"
        return HttpResponse(text, status=429, content_type="text/plain", headers={"Retry-After": wait})
    response = admin.site.login(request)
    if not request.user.is_authenticated:
        count_failure(request)
    return response
