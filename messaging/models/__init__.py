from messaging.models.access import ApiToken
from messaging.models.attempt import DeliveryAttempt
from messaging.models.callback import ProviderCallback
from messaging.models.event import MessageEvent
from messaging.models.idempotency import IdempotencyRecord
from messaging.models.message import Message
from messaging.models.phone_number import PhoneNumber
from messaging.models.queue import OutboundQueue

__all__ = [
    "ApiToken",
    "DeliveryAttempt",
    "IdempotencyRecord",
    "Message",
    "MessageEvent",
    "OutboundQueue",
    "PhoneNumber",
    "ProviderCallback",
]
