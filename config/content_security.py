"""The Content-Security-Policy of every answer: nothing from elsewhere, nothing inline.

See docs/decisions/0011-content-security.md for the one thing that the console needs beyond it.
"""

from csp.constants import SELF, UNSAFE_EVAL
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponse

CONSOLE = "/admin/"


class ContentSecurityMiddleware(CSPMiddleware):
    def get_policy_parts(self, request: HttpRequest, response: HttpResponse, report_only: bool = False) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.path_info.startswith(CONSOLE):
            parts.update = {"script-src": [SELF, UNSAFE_EVAL]}
        return parts
