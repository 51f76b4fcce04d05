"""The Content-Security-Policy of every response: nothing from other origins, nothing inline.

docs/decisions/0011-content-security.md explains the one exception for the console.
"""

from functools import cache

from csp.constants import HEADER, SELF, UNSAFE_EVAL
from csp.middleware import CSPMiddleware, PolicyParts
from csp.utils import build_policy
from django.http import HttpRequest
from django.http.response import HttpResponseBase

API, CONSOLE = "/api/", "/admin/"


class ContentSecurityMiddleware(CSPMiddleware):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Responses of the API have neither nonces nor exceptions, so their policy is built once. A stricter one stays."""
        if not request.path_info.startswith(API):
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, _api_policy())
        return response

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.path_info.startswith(CONSOLE):
            parts.update = {"script-src": [SELF, UNSAFE_EVAL]}
        return parts


@cache
def _api_policy() -> str:
    return str(build_policy())
