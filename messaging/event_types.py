"""What a client is told about: the types of events, and the statuses that bring them about."""

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


# Of a delivery that was asked for as a test; it stands for no event.
TEST: Final = "webhook.test"

# An inbound message is told of when it is processed, with its media, not while these are still being fetched.
OF_STATUS: Final[dict[Status, EventType]] = {
    Status.SENT: EventType.MESSAGE_SENT,
    Status.DELIVERED: EventType.MESSAGE_DELIVERED,
    Status.UNDELIVERED: EventType.MESSAGE_UNDELIVERED,
    Status.FAILED: EventType.MESSAGE_FAILED,
    Status.UNKNOWN: EventType.MESSAGE_UNKNOWN,
    Status.CANCELED: EventType.MESSAGE_CANCELED,
    Status.PROCESSED: EventType.MESSAGE_RECEIVED,
}
