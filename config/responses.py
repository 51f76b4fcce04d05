"""Adds ETags and compression to API responses: a client that has the current response gets 304.

Only under /api/. Console pages contain a CSRF token next to search terms, and compression would make the BREACH attack possible
(docs/decisions/0016-compression.md).
"""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.middleware.http import ConditionalGetMiddleware
from django.utils.cache import patch_cache_control

PREFIX = "/api/"
OK = 200


def _is_api_response(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Exclude streams (images, live events), which set their own validators and lengths."""
    return request.path_info.startswith(PREFIX) and not response.streaming


class ApiConditionalGetMiddleware(ConditionalGetMiddleware):
    """The ETag is a hash of the response to this user, so it reveals nothing about another user's."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.method != "GET" or response.status_code != OK or not _is_api_response(request, response):
            return response
        if not response.has_header("Cache-Control"):
            patch_cache_control(response, private=True, no_cache=True)
        return super().process_response(request, response)


class ApiCompressionMiddleware(GZipMiddleware):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return super().process_response(request, response) if _is_api_response(request, response) else response
