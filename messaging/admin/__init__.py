from messaging.admin.access import ApiTokenAdmin
from messaging.admin.alert_receivers import AlertReceiverAdmin
from messaging.admin.budgets import BudgetAdmin
from messaging.admin.callbacks import ProviderCallbackAdmin
from messaging.admin.gateway import GatewayCredentialAdmin
from messaging.admin.hours_rules import HoursRuleAdmin
from messaging.admin.images import MediaAssetAdmin
from messaging.admin.limits import PrefixRuleAdmin, PumpingAlertAdmin, VelocityLimitAdmin
from messaging.admin.messages import MessageAdmin
from messaging.admin.opt_out_cases import OptOutCaseAdmin
from messaging.admin.owner_policies import OwnerPolicyAdmin
from messaging.admin.phone_numbers import PhoneNumberAdmin
from messaging.admin.provider_accounts import ProviderAccountAdmin, ProviderEventAdmin, SenderNumberAdmin
from messaging.admin.queues import OutboundQueueAdmin
from messaging.admin.retention import ErasureAdmin, RetentionRuleAdmin
from messaging.admin.sender_rules import CountrySendersAdmin
from messaging.admin.suppressions import KeywordRuleAdmin, SuppressionAdmin
from messaging.admin.templates import MessageTemplateAdmin
from messaging.admin.twilio import TwilioAccountAdmin, TwilioApiKeyAdmin
from messaging.admin.verifications import VerificationAdmin
from messaging.admin.webhooks import WebhookDeliveryAdmin, WebhookEndpointAdmin

__all__ = [
    "AlertReceiverAdmin",
    "ApiTokenAdmin",
    "BudgetAdmin",
    "CountrySendersAdmin",
    "ErasureAdmin",
    "GatewayCredentialAdmin",
    "HoursRuleAdmin",
    "KeywordRuleAdmin",
    "MediaAssetAdmin",
    "MessageAdmin",
    "MessageTemplateAdmin",
    "OptOutCaseAdmin",
    "OutboundQueueAdmin",
    "OwnerPolicyAdmin",
    "PhoneNumberAdmin",
    "PrefixRuleAdmin",
    "ProviderAccountAdmin",
    "ProviderCallbackAdmin",
    "ProviderEventAdmin",
    "PumpingAlertAdmin",
    "RetentionRuleAdmin",
    "SenderNumberAdmin",
    "SuppressionAdmin",
    "TwilioAccountAdmin",
    "TwilioApiKeyAdmin",
    "VelocityLimitAdmin",
    "VerificationAdmin",
    "WebhookDeliveryAdmin",
    "WebhookEndpointAdmin",
]
