"""The tables that hold people's numbers and words: what an erasure has to cover, and an export has to show.

A test compares the columns of all models with this table and its own list of the others, so that a new column is a decision;
and it fills each table, exports and erases.
"""

from collections.abc import Mapping

from django.contrib.admin.models import LogEntry
from django.db.models import Model

from messaging.models import (
    AlertChannel,
    AlertNotice,
    AlertReceiver,
    Attachment,
    ClientEvent,
    DeliveryAttempt,
    Erasure,
    GatewayPart,
    GatewayReceipt,
    GatewayText,
    IdempotencyRecord,
    InboundPart,
    Message,
    MessageEvent,
    OptOutCase,
    PhoneNumber,
    ProviderCallback,
    Suppression,
    Verification,
    WebhookDelivery,
)

# By model: the section of the export that has its rows, and the columns that may hold a number or a person's words. Models
# without such columns belong to a person by their message.
PERSONAL: Mapping[type[Model], tuple[str, frozenset[str]]] = {
    PhoneNumber: ("phone_number", frozenset({"number", "reason"})),
    Message: ("messages", frozenset({"from_number", "to_number", "text", "parameters", "error_detail"})),
    MessageEvent: ("messages", frozenset({"detail"})),
    DeliveryAttempt: ("messages", frozenset({"error_detail"})),
    Attachment: ("messages", frozenset({"source_url", "error"})),
    ClientEvent: ("messages", frozenset({"snapshot"})),
    WebhookDelivery: ("messages", frozenset({"error"})),
    ProviderCallback: ("provider_callbacks", frozenset({"body", "note"})),  # or with its message
    Suppression: ("suppressions", frozenset({"number", "reason", "note"})),
    OptOutCase: ("opt_out_cases", frozenset({"number", "text", "note"})),
    Verification: ("verifications", frozenset({"to_number", "text", "message_ids"})),
    InboundPart: ("inbound_parts", frozenset({"from_number", "to_number", "text", "unabridged", "media_urls"})),
    GatewayPart: ("gateway_parts", frozenset({"from_number", "to_number", "octets"})),
    GatewayReceipt: ("gateway_receipts", frozenset({"source", "destination"})),
    GatewayText: ("gateway_texts", frozenset()),
    IdempotencyRecord: ("stored_responses", frozenset({"response"})),
    AlertReceiver: ("alert_receivers", frozenset({"recipients"})),
    AlertChannel: ("alert_receivers", frozenset({"recipients"})),
    AlertNotice: ("held_alerts", frozenset({"counts"})),
    Erasure: ("erasures", frozenset({"reason"})),
    LogEntry: ("audit_log", frozenset({"object_id", "object_repr", "change_message"})),
}
