"""Factories of rows: each sets the minimum that the database accepts; a test sets only what it is about."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import factory
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import models
from uuid_utils.compat import uuid7

from messaging.categories import Category, priority_of
from messaging.models import (
    AlertChannel,
    AlertNotice,
    AlertReceiver,
    ApiToken,
    ClientEvent,
    DeliveryAttempt,
    GatewayCredential,
    GatewayPart,
    GatewayReceipt,
    GatewayText,
    HoursRule,
    InboundPart,
    Message,
    MessageEvent,
    OutboundQueue,
    OwnerPolicy,
    PhoneNumber,
    ProviderCallback,
    TwilioAccount,
    TwilioApiKey,
    Verification,
    WebhookDelivery,
    WebhookEndpoint,
)
from messaging.sealing import seal
from messaging.segments import Encoding
from messaging.services.alerts.hooks import PURPOSE as HOOK_PURPOSE
from messaging.services.gateway.credentials import hashed
from messaging.services.outbound import hours, sender_rules
from messaging.services.twilio.credentials import digest_of
from messaging.states import Direction, Source, Status
from providers.models import ProviderAccount, SenderNumber

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
HOOK_SECRET = "v1,whsec_c2VjcmV0IG9mIHRoZSBTdXBhYmFzZSBob29r"


class RowFactory(factory.django.DjangoModelFactory):
    class Meta:
        abstract = True

    @classmethod
    def _generate(cls, strategy: str, params: dict[str, Any]) -> models.Model:
        """Traits that are not named are off; otherwise each field of each of them makes and drops an error with a long text."""
        off = (name for name, parameter in cls._meta.parameters.items() if isinstance(parameter, factory.Trait))
        return super()._generate(strategy, {**dict.fromkeys(off, False), **params})


class UserFactory(RowFactory):
    class Meta:
        model = get_user_model()

    username = factory.Sequence(lambda n: f"user{n}")


class QueueFactory(RowFactory):
    class Meta:
        model = OutboundQueue
        django_get_or_create = ("name",)

    name = "express"

    class Params:
        paced = factory.Trait(name="paced", batch_size=2, interval_seconds=120)


class AccountFactory(RowFactory):
    """A `generic_http` account whose URL has no listener."""

    class Meta:
        model = ProviderAccount

    slug = factory.Sequence(lambda n: f"carrier{n}")
    backend = "generic_http"
    weight = 100
    config = factory.LazyFunction(lambda: {"url": "http://127.0.0.1:9/send"})


class SenderFactory(RowFactory):
    class Meta:
        model = SenderNumber

    number = factory.Sequence(lambda n: f"+1500555{n:04d}")


class HoursRuleFactory(RowFactory):
    """Marketing from 08:00 to 21:00 each day, for all numbers. Rules are read again when they are needed next."""

    class Meta:
        model = HoursRule

    id = factory.Sequence(lambda n: f"rule-{n}")
    name = "Own hours"
    categories = ["marketing"]
    hours = [[[480, 1260]]] * 7
    changed_at = NOW

    @classmethod
    def _create(cls, model_class: type[HoursRule], *args: Any, **kwargs: Any) -> HoursRule:
        rule = super()._create(model_class, *args, **kwargs)
        hours.expire()
        return rule


class OwnerPolicyFactory(RowFactory):
    """Quiet from 21:00 to 08:00. Quiet hours are read again when they are needed next."""

    class Meta:
        model = OwnerPolicy

    owner = factory.SubFactory(UserFactory)
    quiet_from = time(21)
    quiet_until = time(8)

    @classmethod
    def _create(cls, model_class: type[OwnerPolicy], *args: Any, **kwargs: Any) -> OwnerPolicy:
        policy = super()._create(model_class, *args, **kwargs)
        hours.expire()
        sender_rules.expire()
        return policy


class PhoneNumberFactory(RowFactory):
    class Meta:
        model = PhoneNumber

    number = factory.Sequence(lambda n: f"+1415555{n:04d}")

    class Params:
        inactive = factory.Trait(status=PhoneNumber.Status.INACTIVE, reason="unreachable", changed_at=NOW)


class VerificationFactory(RowFactory):
    """A pending verification, without a message."""

    class Meta:
        model = Verification

    owner = factory.SubFactory(UserFactory)
    to_number = factory.Sequence(lambda n: f"+1415557{n:04d}")
    nonce = bytes(32)
    key_id = "0123456789abcdef"
    code_length = 6
    text = "Your code is ******."
    offsets = [13]
    prefix = "+1415"
    sends = 1
    created_at = last_sent_at = updated_at = NOW
    expires_at = NOW + timedelta(minutes=10)


class MessageFactory(RowFactory):
    """An outbound message that is ready to be claimed at `NOW`."""

    class Meta:
        model = Message

    direction = Direction.OUTBOUND
    status = Status.QUEUED
    owner = factory.SubFactory(UserFactory)
    queue = factory.SubFactory(QueueFactory)
    from_number = "+15005550006"
    to_number = factory.Sequence(lambda n: f"+1415556{n:04d}")
    text = "Your code is 123456"
    encoding = Encoding.GSM7
    segments = 1
    valid_for = 14_400
    created_at = NOW
    updated_at = NOW
    expires_at = factory.LazyAttribute(lambda message: message.created_at + timedelta(seconds=message.valid_for))
    is_bulk = False
    category = Category.TRANSACTIONAL
    priority = factory.LazyAttribute(lambda message: priority_of(message.category, is_bulk=message.is_bulk))

    class Params:
        sending = factory.Trait(
            status=Status.SENDING,
            claim_id=factory.LazyFunction(uuid7),
            lease_until=NOW + timedelta(seconds=30),
            attempts=1,
        )
        sent = factory.Trait(status=Status.SENT, sent_at=NOW, attempts=1)
        delivered = factory.Trait(status=Status.DELIVERED, sent_at=NOW, delivered_at=NOW, attempts=1)
        inbound = factory.Trait(
            direction=Direction.INBOUND,
            status=Status.RECEIVED,
            owner=None,
            queue=None,
            valid_for=None,
            expires_at=None,
            received_at=NOW,
        )


class AttemptFactory(RowFactory):
    """An attempt that its provider accepted."""

    class Meta:
        model = DeliveryAttempt

    message = factory.SubFactory(MessageFactory, sent=True)
    number = 1
    provider = factory.SubFactory(AccountFactory)
    claim_id = factory.LazyFunction(uuid7)
    outcome = DeliveryAttempt.Outcome.ACCEPTED
    started_at = NOW
    finished_at = NOW

    class Params:
        open = factory.Trait(
            message=factory.SubFactory(MessageFactory, sending=True),
            claim_id=factory.SelfAttribute("message.claim_id"),
            outcome=DeliveryAttempt.Outcome.CALLING,
            finished_at=None,
        )


class EventFactory(RowFactory):
    class Meta:
        model = MessageEvent

    message = factory.SubFactory(MessageFactory)
    at = NOW
    to_status = Status.QUEUED
    source = Source.API


class CallbackFactory(RowFactory):
    class Meta:
        model = ProviderCallback

    provider = factory.SubFactory(AccountFactory)
    received_at = NOW
    body = "{}"
    digest = factory.Sequence(lambda n: f"{n:064x}")
    state = ProviderCallback.State.UNMATCHED
    provider_message_id = factory.Sequence(lambda n: f"pmid-{n}")
    reported = "delivered"
    word = "delivered"


class InboundPartFactory(RowFactory):
    """The first of two parts of a text that waits until five minutes after `NOW`."""

    class Meta:
        model = InboundPart

    provider = factory.SubFactory(AccountFactory)
    from_number = "+14155550101"
    to_number = "+15005550006"
    reference = "7"
    count = 2
    number = 1
    group = factory.LazyFunction(uuid7)
    text = "Hello, "
    digest = factory.Sequence(lambda n: f"{n:064x}")
    received_at = NOW
    due_at = NOW + timedelta(minutes=5)


class ClientEventFactory(RowFactory):
    """The event of a delivered message, not numbered yet."""

    class Meta:
        model = ClientEvent

    class Params:
        message = factory.SubFactory(MessageFactory, delivered=True)

    owner = factory.SelfAttribute("message.owner")
    message_id = factory.SelfAttribute("message.pk")
    has_callback_url = factory.LazyAttribute(lambda event: bool(event.message.callback_url))
    type = "message.delivered"
    at = NOW
    snapshot = factory.LazyFunction(lambda: {"status": "delivered", "delivered_at": NOW.isoformat()})


class EndpointFactory(RowFactory):
    class Meta:
        model = WebhookEndpoint

    owner = factory.SubFactory(UserFactory)
    url = factory.Sequence(lambda n: f"https://client{n}.example.com/hook")
    created_at = NOW
    updated_at = NOW


class WebhookDeliveryFactory(RowFactory):
    """Due at `NOW`."""

    class Meta:
        model = WebhookDelivery

    endpoint = factory.SubFactory(EndpointFactory)
    event = factory.SubFactory(ClientEventFactory, owner=factory.SelfAttribute("..endpoint.owner"))
    next_attempt_at = factory.LazyAttribute(lambda delivery: NOW if delivery.state == "pending" else None)
    state = "pending"
    created_at = NOW

    class Params:
        sending = factory.Trait(
            state="sending", attempts=1, claim_id=factory.LazyFunction(uuid7), lease_until=NOW + timedelta(seconds=60)
        )


def lose_the_key(row: models.Model, column: str = "text") -> None:
    """Make the stored value unreadable: replace it with one under an unknown key."""
    is_json = isinstance(row._meta.get_field(column), models.JSONField)
    sealed = models.Value("enc:v1:lost:gAAAAA", output_field=models.JSONField() if is_json else models.TextField())
    type(row)._default_manager.filter(pk=row.pk).update(**{column: sealed})


def make_token(user, *, valid_for: timedelta | None = None) -> str:
    """Create a bearer token and return its text."""
    _, token = ApiToken.objects.create(user=user, expiry=valid_for)
    return token


class GatewayCredentialFactory(factory.django.DjangoModelFactory):
    """A credential of an owner who may send. Its password is `secret12`."""

    class Meta:
        model = GatewayCredential
        skip_postgeneration_save = True

    user = factory.SubFactory(UserFactory)
    system_id = factory.Sequence(lambda n: f"client{n}")
    password = factory.LazyFunction(lambda: hashed("secret12"))
    created_at = NOW

    @factory.post_generation
    def may_send(self, create: bool, _extracted: object, **_options: object) -> None:
        permissions = Permission.objects.filter(
            content_type__app_label="messaging", codename__in=["add_message", "change_message"]
        )
        self.user.user_permissions.add(*permissions)


class AlertReceiverFactory(RowFactory):
    """A receiver of alerts with one recipient. `secret` is of the trait `hook`, sealed."""

    class Meta:
        model = AlertReceiver

    name = factory.Sequence(lambda n: f"receiver-{n}")
    owner = factory.SubFactory(UserFactory)
    recipients = factory.LazyFunction(lambda: ["+14155550101"])
    created_at = updated_at = NOW

    class Params:
        hook = factory.Trait(
            kind="supabase", recipients=[], secret=factory.LazyFunction(lambda: seal(HOOK_PURPOSE, HOOK_SECRET))
        )


def _alert_channel() -> AlertChannel:
    receiver = AlertReceiverFactory()
    return AlertChannel.objects.create(receiver=receiver, owner=receiver.owner, used_at=NOW)


class AlertNoticeFactory(RowFactory):
    class Meta:
        model = AlertNotice

    channel = factory.LazyFunction(_alert_channel)
    digest = factory.Sequence(lambda n: f"{n:064x}")
    received_at = NOW
    forget_at = NOW + timedelta(days=30)


class TwilioAccountFactory(factory.django.DjangoModelFactory):
    """A credential of clients of Twilio's API. Its auth token is 32 times `a`."""

    class Meta:
        model = TwilioAccount

    user = factory.SubFactory(UserFactory)
    sid = factory.Sequence(lambda n: f"AC{n:032x}")
    auth_token = factory.LazyFunction(lambda: seal("twilio-auth-tokens", "a" * 32))
    auth_token_digest = digest_of("a" * 32)
    created_at = NOW


class TwilioApiKeyFactory(factory.django.DjangoModelFactory):
    """Its secret is 32 times `b`."""

    class Meta:
        model = TwilioApiKey

    account = factory.SubFactory(TwilioAccountFactory)
    sid = factory.Sequence(lambda n: f"SK{n:032x}")
    secret_digest = digest_of("b" * 32)
    created_at = NOW


class GatewayReceiptFactory(factory.django.DjangoModelFactory):
    """Asked for with a message that has not ended."""

    class Meta:
        model = GatewayReceipt

    credential = factory.SubFactory(GatewayCredentialFactory)
    message = factory.SubFactory(MessageFactory, owner=factory.SelfAttribute("..credential.user"))
    id = factory.LazyAttribute(lambda receipt: receipt.message.pk if receipt.message else uuid7())
    wanted = 1
    source = "15005550006"
    destination = "14155550101"
    submitted_at = NOW
    give_up_at = NOW + timedelta(hours=76)

    class Params:
        due = factory.Trait(state="pending", message_state=2, done_at=NOW, next_attempt_at=NOW)


class GatewayTextFactory(RowFactory):
    """A text that a person has sent to the credential's user; due at `NOW`."""

    class Meta:
        model = GatewayText

    credential = factory.SubFactory(GatewayCredentialFactory, receives_texts=True)
    message = factory.SubFactory(
        MessageFactory,
        inbound=True,
        status=Status.PROCESSED,
        owner=factory.SelfAttribute("..credential.user"),
        from_number="+14155550101",
        to_number="+15005550006",
        text="Yes, please",
    )
    created_at = NOW
    next_attempt_at = NOW


class GatewayPartFactory(factory.django.DjangoModelFactory):
    """The first of two parts of a text that waits until five minutes after `NOW`."""

    class Meta:
        model = GatewayPart

    credential = factory.SubFactory(GatewayCredentialFactory)
    group = factory.SelfAttribute("id")
    from_number = "+15005550006"
    to_number = "+14155550101"
    reference = "7"
    count = 2
    number = 1
    octets = b"Hello, ".hex()
    data_coding = 0
    digest = factory.Sequence(lambda n: f"{n:064x}")
    received_at = NOW
    due_at = NOW + timedelta(minutes=5)
    id = factory.LazyFunction(uuid7)
