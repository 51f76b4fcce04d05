"""What the API's answers get on their way out: a validator, so that whoever has one already gets 304, and compression.

Only under /api/. The console's pages carry a token in a cookie's company and what somebody searched for, which together
with compression is what BREACH needs; see docs/decisions/0016-compression.md.
"""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.middleware.http import ConditionalGetMiddleware
from django.utils.cache import patch_cache_control

PREFIX = "/api/"
OK = 200


def _is_read(request: HttpRequest, response: HttpResponseBase) -> bool:
    """What streams (images, live status) has validators and lengths of its own."""
    return request.path_info.startswith(PREFIX) and not response.streaming


class ApiConditionalGetMiddleware(ConditionalGetMiddleware):
    """The validator is a hash of what this user would get, so it tells one user nothing of another's."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
        if request.method != "GET" or response.status_code != OK or not _is_read(request, response):
            return response
        if not response.has_header("Cache-Control"):
            patch_cache_control(response, private=True, no_cache=True)
        return super().process_response(request, response)


class ApiCompressionMiddleware(GZipMiddleware):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return super().process_response(request, response) if _is_read(request, response) else response
