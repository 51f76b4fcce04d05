"""Who may read the texts of messages. They hold one-time passwords; not everybody who looks after messages needs them."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from django.contrib.auth.models import AbstractBaseUser

from messaging.models import Message, ProviderCallback
from messaging.models.encrypted import fault_of
from messaging.services.representation import HIDDEN, READ_TEXTS

UNREADABLE = "(cannot be opened with the present keys)"
SECRET_KEYS = re.compile(
    r"secret|token|signature|password|passwd|authorization|api[_-]?key|^auth$|credential", re.IGNORECASE
)
_NAME = re.compile(r"[\w.\[\]-]{1,64}")  # what is not the name of a field may be anything, a text too
TEXT_KEYS = re.compile(r"^(body|text|message|content|msg|sms)$", re.IGNORECASE)


def may_read(user: AbstractBaseUser) -> bool:
    return user.has_perm(READ_TEXTS)


def shown(text: str, *, readable: bool) -> str:
    """The text, or how long it is."""
    return text if readable else f"{HIDDEN} ({len(text)} characters)"


def shown_text(message: Message, *, readable: bool) -> str:
    """The message's text; of one that cannot be opened this is said in its place."""
    return UNREADABLE if fault_of(message, "text") else shown(message.text, readable=readable)


def shown_callback(callback: ProviderCallback, *, readable: bool) -> list[tuple[str, str]] | str:
    """A callback's fields, or its body where nobody can say which part of it is what."""
    if fault_of(callback, "body"):
        return UNREADABLE
    fields = callback_fields(callback.body, readable=readable)
    return shown(callback.body, readable=readable) if fields is None else fields


def callback_fields(body: str, *, readable: bool) -> list[tuple[str, str]] | None:
    """A callback's fields in their order, without secrets, and without texts for whoever may not read them.

    None where it is neither JSON nor a form: then nobody can say which part of it is what.
    """
    try:
        content = json.loads(body)
    except ValueError:
        content = dict(parse_qsl(body, keep_blank_values=True)) if "=" in body else None
    if not isinstance(content, dict) or not content or not all(_NAME.fullmatch(str(key)) for key in content):
        return None
    return [(str(key), _value(str(key), value, readable=readable)) for key, value in content.items()]


def _value(key: str, value: Any, *, readable: bool) -> str:
    cleaned = _cleaned(key, value, readable=readable)
    return cleaned if isinstance(cleaned, str) else json.dumps(cleaned, ensure_ascii=False)


def _cleaned(key: str, value: Any, *, readable: bool) -> Any:
    if SECRET_KEYS.search(key):
        return HIDDEN
    if isinstance(value, dict):
        return {name: _cleaned(str(name), inner, readable=readable) for name, inner in value.items()}
    if isinstance(value, list):
        return [_cleaned(key, inner, readable=readable) for inner in value]
    if TEXT_KEYS.match(key) and isinstance(value, str):
        return shown(value, readable=readable)
    return value
