"""The Content-Security-Policy of every response: nothing from other origins, nothing inline.

docs/decisions/0011-content-security.md explains the one exception for the console.
"""

from csp.constants import SELF, UNSAFE_EVAL
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest
from django.http.response import HttpResponseBase

CONSOLE = "/admin/"


class ContentSecurityMiddleware(CSPMiddleware):
    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.path_info.startswith(CONSOLE):
            parts.update = {"script-src": [SELF, UNSAFE_EVAL]}
        return parts
