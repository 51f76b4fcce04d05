"""The dialects of callbacks: our own, and those of other systems whose clients are called as they expect.

`Message.callback_dialect` and `WebhookEndpoint.dialect` hold a name, with options after a colon: `kannel:31`.
"""

from messaging.services.webhooks.dialects.base import ClientCall, Dialect, Occasion, SigningCredential
from messaging.services.webhooks.dialects.jasmin import JasminDialect
from messaging.services.webhooks.dialects.kannel import KannelDialect
from messaging.services.webhooks.dialects.standard import StandardDialect
from messaging.services.webhooks.dialects.twilio import TwilioDialect

__all__ = ["ClientCall", "Dialect", "Occasion", "SigningCredential", "named", "options_of"]

_DIALECTS: dict[str, Dialect] = {
    "": StandardDialect(),
    "jasmin": JasminDialect(),
    "kannel": KannelDialect(),
    "twilio": TwilioDialect(),
}


def named(text: str) -> Dialect:
    """Return the dialect. Raises `KeyError` for a name that is none."""
    return _DIALECTS[text.partition(":")[0]]


def options_of(text: str) -> str:
    return text.partition(":")[2]
