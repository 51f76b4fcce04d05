"""URLs under /2010-04-01/ and /v2/, each with and without `.json`, and with or without a slash at the end."""

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, re_path

from messaging.twilio_api.accounts import AccountListView, AccountView, BalanceView, NumberListView, NumberView
from messaging.twilio_api.media import FeedbackView, MediaListView, MediaView
from messaging.twilio_api.messages import MessagesView, MessageView
from messaging.twilio_api.verify import VerificationCheckView, VerificationsView, VerificationView

_ACCOUNT = r"Accounts/(?P<account>AC[0-9a-fA-F]{32})"
_MESSAGE = rf"{_ACCOUNT}/Messages/(?P<sid>[A-Za-z0-9]{{1,64}})"
_END = r"(?:\.json)?/?$"


def _path(pattern: str, view: Callable[..., Any], name: str) -> URLPattern:
    return re_path(rf"^{pattern}{_END}", view, name=f"twilio-{name}")


urlpatterns = [
    # First, because most requests are for them.
    _path(rf"{_ACCOUNT}/Messages", MessagesView.as_view(), "messages"),
    _path(_MESSAGE, MessageView.as_view(), "message"),
    _path(rf"{_MESSAGE}/Media", MediaListView.as_view(), "media-list"),
    re_path(
        rf"^{_MESSAGE}/Media/(?P<media>[A-Za-z0-9]{{1,64}})(?P<suffix>\.json)?/?$",
        MediaView.as_view(),
        name="twilio-media",
    ),
    _path(rf"{_MESSAGE}/Feedback", FeedbackView.as_view(), "feedback"),
    _path(r"Accounts", AccountListView.as_view(), "accounts"),
    _path(_ACCOUNT, AccountView.as_view(), "account"),
    _path(rf"{_ACCOUNT}/Balance", BalanceView.as_view(), "balance"),
    _path(rf"{_ACCOUNT}/IncomingPhoneNumbers", NumberListView.as_view(), "numbers"),
    _path(rf"{_ACCOUNT}/IncomingPhoneNumbers/(?P<sid>[A-Za-z0-9]{{1,64}})", NumberView.as_view(), "number"),
]

_SERVICE = r"Services/(?P<service>VA[0-9a-fA-F]{32})"
verify_patterns = [
    _path(rf"{_SERVICE}/Verifications", VerificationsView.as_view(), "verifications"),
    _path(rf"{_SERVICE}/Verifications/(?P<sid>[A-Za-z0-9+%]{{1,64}})", VerificationView.as_view(), "verification"),
    _path(rf"{_SERVICE}/VerificationCheck", VerificationCheckView.as_view(), "verification-check"),
]
