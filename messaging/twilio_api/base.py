"""What all views of this API have in common."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar

from django.contrib.auth.models import User
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from messaging import request_limits
from messaging.services.twilio.credentials import TwilioClient
from messaging.twilio_api import errors
from messaging.twilio_api.authentication import TwilioAuthentication
from messaging.twilio_api.errors import ACCESS_DENIED, AUTHENTICATE, TOO_MANY, TwilioError
from messaging.twilio_api.parameters import FormParser, JsonParser

VERSION = "2010-04-01"


class AlwaysFirst(BaseContentNegotiation):
    """Answers in JSON whatever `Accept` says, as errors do."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, str(first.media_type)


class ClientThrottle(BaseThrottle):
    """Limits each account, and each API key, to `RATE_LIMIT_PER_TOKEN`."""

    def allow_request(self, request: Request, view: object) -> bool:
        admission = request_limits.admit(f"twilio:{client_of(request).sid}")
        if admission.admitted == 0:
            raise TwilioError(TOO_MANY, wait=admission.wait)
        return True


class TwilioView(APIView):
    """`permissions` names what the user needs for a method. Rows are the account's user's own, also for staff."""

    authentication_classes = [TwilioAuthentication]
    permission_classes = []
    throttle_classes = [ClientThrottle]
    renderer_classes = [JSONRenderer]
    parser_classes = [FormParser, JsonParser]
    content_negotiation_class = AlwaysFirst
    schema = None
    http_method_names = ["get", "post", "delete", "head"]
    permissions: ClassVar[Mapping[str, str]] = {"GET": "messaging.view_message"}

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return errors.exception_handler

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check whose the address is, and what the user may do."""
        super().initial(request, *args, **kwargs)
        if kwargs.get("account", client_of(request).account.sid) != client_of(request).account.sid:
            raise TwilioError(AUTHENTICATE, "The account in the address is not the one of these credentials.")
        method = "GET" if request.method == "HEAD" else request.method or ""
        needed = self.permissions.get(method)
        if needed is not None and not user_of(request).has_perm(needed):
            raise TwilioError(ACCESS_DENIED)


def client_of(request: Request) -> TwilioClient:
    client = request.auth
    if not isinstance(client, TwilioClient):
        raise TwilioError(AUTHENTICATE)
    return client


def user_of(request: Request) -> User:
    return client_of(request).user


def rfc_2822(time: datetime | None) -> str | None:
    """As Twilio writes times, always in UTC: `Mon, 16 Aug 2010 03:45:01 +0000`."""
    return None if time is None else format_datetime(time.astimezone(UTC))


def account_path(sid: str) -> str:
    return f"/{VERSION}/Accounts/{sid}"
