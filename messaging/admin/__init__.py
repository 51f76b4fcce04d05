from messaging.admin.access import ApiTokenAdmin
from messaging.admin.callbacks import ProviderCallbackAdmin
from messaging.admin.messages import MessageAdmin
from messaging.admin.phone_numbers import PhoneNumberAdmin
from messaging.admin.queues import OutboundQueueAdmin

__all__ = ["ApiTokenAdmin", "MessageAdmin", "OutboundQueueAdmin", "PhoneNumberAdmin", "ProviderCallbackAdmin"]
