"""Types of client events, and the statuses that cause them."""

from enum import StrEnum
from typing import Final

from messaging.states import Status


class EventType(StrEnum):
    MESSAGE_SENT = "message.sent"
    MESSAGE_DELIVERED = "message.delivered"
    MESSAGE_UNDELIVERED = "message.undelivered"
    MESSAGE_FAILED = "message.failed"
    MESSAGE_UNKNOWN = "message.unknown"
    MESSAGE_CANCELED = "message.canceled"
    MESSAGE_RECEIVED = "message.received"
    SCHEDULE_COMPLETED = "schedule.completed"
    BUDGET_WARNING = "budget.warning"


# The type of a test delivery, which has no event.
TEST: Final = "webhook.test"

# Clients are notified of an inbound message when it is processed, so that its media are complete.
OF_STATUS: Final[dict[Status, EventType]] = {
    Status.SENT: EventType.MESSAGE_SENT,
    Status.DELIVERED: EventType.MESSAGE_DELIVERED,
    Status.UNDELIVERED: EventType.MESSAGE_UNDELIVERED,
    Status.FAILED: EventType.MESSAGE_FAILED,
    Status.UNKNOWN: EventType.MESSAGE_UNKNOWN,
    Status.CANCELED: EventType.MESSAGE_CANCELED,
    Status.PROCESSED: EventType.MESSAGE_RECEIVED,
}
