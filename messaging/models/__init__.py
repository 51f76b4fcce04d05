from messaging.models.access import ApiToken
from messaging.models.alert import AlertChannel, AlertNotice, AlertReceiver
from messaging.models.attachment import Attachment
from messaging.models.attempt import AttemptPart, DeliveryAttempt
from messaging.models.budget import Budget, BudgetCharge, BudgetSlot
from messaging.models.callback import ProviderCallback
from messaging.models.client_event import ClientEvent, EventLog
from messaging.models.cost import CostJournal, CostTotal
from messaging.models.event import MessageEvent
from messaging.models.gateway import GatewayCredential, GatewayPart, GatewayReceipt, GatewaySession, GatewayText
from messaging.models.hours import HoursRevision, HoursRule
from messaging.models.idempotency import IdempotencyRecord
from messaging.models.inbound_part import InboundPart
from messaging.models.limits import CodeCount, CodeScan, PrefixRule, PumpingAlert, VelocityLimit
from messaging.models.message import Message
from messaging.models.opt_out_case import OptOutCase
from messaging.models.owner_policy import OwnerPolicy
from messaging.models.phone_number import PhoneNumber
from messaging.models.queue import OutboundQueue
from messaging.models.retention import Erasure, RetentionPass, RetentionRule
from messaging.models.rollup import CountJournal, Rollup
from messaging.models.sender_rule import CountrySenders
from messaging.models.suppression import KeywordRule, Suppression
from messaging.models.template import MessageTemplate, TemplateVersion
from messaging.models.twilio import TwilioAccount, TwilioApiKey
from messaging.models.verification import Verification, VerificationLimit
from messaging.models.verification_count import VerificationCount
from messaging.models.webhook import WebhookDelivery, WebhookEndpoint, WebhookSecret

__all__ = [
    "AlertChannel",
    "AlertNotice",
    "AlertReceiver",
    "ApiToken",
    "Attachment",
    "AttemptPart",
    "Budget",
    "BudgetCharge",
    "BudgetSlot",
    "ClientEvent",
    "CodeCount",
    "CodeScan",
    "CostJournal",
    "CostTotal",
    "CountJournal",
    "CountrySenders",
    "DeliveryAttempt",
    "Erasure",
    "EventLog",
    "GatewayCredential",
    "GatewayPart",
    "GatewayReceipt",
    "GatewaySession",
    "GatewayText",
    "HoursRevision",
    "HoursRule",
    "IdempotencyRecord",
    "InboundPart",
    "KeywordRule",
    "Message",
    "MessageEvent",
    "MessageTemplate",
    "OptOutCase",
    "OutboundQueue",
    "OwnerPolicy",
    "PhoneNumber",
    "PrefixRule",
    "ProviderCallback",
    "PumpingAlert",
    "RetentionPass",
    "RetentionRule",
    "Rollup",
    "Suppression",
    "TemplateVersion",
    "TwilioAccount",
    "TwilioApiKey",
    "VelocityLimit",
    "Verification",
    "VerificationCount",
    "VerificationLimit",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookSecret",
]
