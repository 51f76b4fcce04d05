"""Requests and responses of a provider account, as its page shows them."""

import json
from datetime import timedelta

from django.utils import timezone
from uuid_utils.compat import uuid7

from providers import exchanges
from providers.contract.messages import OutboundMessage
from providers.errors import CredentialsRefused, NoMessageId, OutcomeUnknown, Rejected, SendError
from providers.exchanges import Recording
from providers.models import ProviderAccount
from providers.state import exchange_log
from providers.state.exchange_log import Outcome

PAGE = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<h1>502 Bad Gateway</h1>\r\n</body></html>"
# Status, response, its type, the error, and the rule that decided.
RESULTS: list[tuple[int, str, str, SendError | None, str]] = [
    (200, '{"messages": [{"status": "0", "message-id": "0A0000000123ABCD1"}]}', "application/json", None,
     'answer[0]: messages.0.status in ["0"]'),
    (200, '{"messages": [{"status": "4", "error-text": "Bad Credentials"}]}', "application/json",
     CredentialsRefused("the provider answered 200"), 'answer[1]: messages.0.status in ["4"]'),
    (200, "ERROR:14", "text/plain", NoMessageId("the provider answered 200 without a message id"), ""),
    (502, PAGE, "text/html", OutcomeUnknown("the provider answered 502"), "HTTP status 502"),
    (422, '{"errors": [{"code": "40310", "title": "Invalid to address", "source": {"pointer": "/to"}}]}',
     "application/json; charset=utf-8", Rejected("the provider answered 422", code="invalid_address"), "rejected: 422"),
]  # fmt: skip


def keep_in(slug: str) -> None:
    """The newest is the last of `RESULTS`; before them, acceptances."""
    account = ProviderAccount.objects.get(pk=slug)
    results = [*[RESULTS[0]] * 4, *RESULTS]
    for place, (status, body, kind, error, rule) in enumerate(results):
        recording = Recording()
        message = OutboundMessage(to="+14155550142", text="Your code is 493 201", sender=None, reference=str(uuid7()))
        sent = {"recipient": message.to, "body": message.text, "from": "+15005550006", "reference": message.reference}
        with recording.of(message):
            headers = {
                "User-Agent": "Switchboard/1",
                "Content-Type": "application/json",
                "Authorization": "Bearer a-key",
            }
            exchanges.note_request("POST", "https://gateway.carrier.example/v2/messages", headers, json.dumps(sent))
            exchanges.note_response(status, {"content-type": kind, "server": "nginx"}, body.encode())
            exchanges.decided_by(rule)
        # In the moment after the account was made: earlier ones would belong to another account of that name.
        at = timezone.now() + timedelta(seconds=place)
        outcome = Outcome(error, "" if error else "0A0000000123ABCD1", 80 + 13 * place, at=at, is_test=place == 2)
        exchange_log.keep(slug, recording, outcome, config=account.config)
