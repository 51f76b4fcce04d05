"""Permission to read message texts. They contain one-time passwords, which most staff do not need to see."""

from django.contrib.auth.models import User

from messaging.models import Message, ProviderCallback
from messaging.models.encrypted import fault_of
from messaging.services.privacy.callback_fields import callback_fields
from messaging.services.representation import HIDDEN, READ_TEXTS

UNREADABLE = "(cannot be decrypted with the current keys)"


def may_read(user: User) -> bool:
    return user.has_perm(READ_TEXTS)


def shown(text: str, *, readable: bool) -> str:
    """Return the text, or only its length if it must not be read."""
    return text if readable else f"{HIDDEN} ({len(text)} characters)"


def shown_text(message: Message, *, readable: bool) -> str:
    """Return the message's text, its length, or `UNREADABLE` if it cannot be decrypted."""
    return UNREADABLE if fault_of(message, "text") else shown(message.text, readable=readable)


def shown_callback(callback: ProviderCallback, *, readable: bool) -> list[tuple[str, str]] | str:
    """Return a callback's fields, or its body if the format is unknown."""
    if fault_of(callback, "body"):
        return UNREADABLE
    fields = callback_fields(callback.body, readable=readable)
    return shown(callback.body, readable=readable) if fields is None else fields
