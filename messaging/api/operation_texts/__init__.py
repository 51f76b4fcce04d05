"""Texts of the API documentation: operation id -> (summary, description), for programmers who call the API.

An id is the route's basename and the action. `config.openapi` adds the required permission. A line break within a paragraph is
a space.
"""

from messaging.api.operation_texts.callbacks import CALLBACK_TEXTS
from messaging.api.operation_texts.integrations import INTEGRATION_TEXTS
from messaging.api.operation_texts.limits import LIMIT_TEXTS
from messaging.api.operation_texts.messages import MESSAGE_TEXTS
from messaging.api.operation_texts.operating import OPERATING_TEXTS
from messaging.api.operation_texts.templates import TEMPLATE_TEXTS
from messaging.api.operation_texts.verifications import VERIFICATION_TEXTS

MESSAGING_TEXTS: dict[str, tuple[str, str]] = {
    **MESSAGE_TEXTS,
    **CALLBACK_TEXTS,
    **OPERATING_TEXTS,
    **INTEGRATION_TEXTS,
    **VERIFICATION_TEXTS,
    **LIMIT_TEXTS,
    **TEMPLATE_TEXTS,
}
