"""Makers of one more row for the list of every registered admin."""

from collections.abc import Callable
from datetime import timedelta

from django.contrib.auth.models import Group
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from media_store.models import MediaAsset
from messaging.console import audit
from messaging.models import (
    ApiToken,
    Budget,
    CountrySenders,
    Erasure,
    KeywordRule,
    OptOutCase,
    PrefixRule,
    PumpingAlert,
    RetentionRule,
    Suppression,
    VelocityLimit,
)
from messaging.policy.template_content import TemplateVariable
from messaging.services.templates import saving
from providers.models import ProviderEvent
from tests.factories import (
    NOW,
    AccountFactory,
    AlertReceiverFactory,
    CallbackFactory,
    EndpointFactory,
    GatewayCredentialFactory,
    HoursRuleFactory,
    MessageFactory,
    OwnerPolicyFactory,
    PhoneNumberFactory,
    QueueFactory,
    SenderFactory,
    TwilioAccountFactory,
    TwilioApiKeyFactory,
    UserFactory,
    VerificationFactory,
    WebhookDeliveryFactory,
)
from tests.scheduling.making import create


def _image(number: int) -> None:
    asset = MediaAsset.objects.create(
        sha256=f"{number:064x}", content_type="image/png", size=1, width=1, height=1, created_at=NOW
    )
    asset.owners.add(UserFactory())


def _task(number: int) -> None:
    interval, _ = IntervalSchedule.objects.get_or_create(every=7, period="seconds")
    PeriodicTask.objects.create(name=f"task {number}", task="messaging.tick", interval=interval)


MAKERS: dict[str, Callable[[int], object]] = {
    "messaging/messagetemplate": lambda n: (
        saving.create(
            owner=UserFactory(),
            name=f"visit {n}",
            content=saving.TemplateInput(
                texts={"en": "Hi {name}", "de": "Hallo {name} 🦷"},
                default_language="en",
                variables=[TemplateVariable(name="name", sample="Ada", max_length=10)],
            ),
            actor=UserFactory(),
            now=NOW,
        ).template
    ),
    "admin/logentry": lambda _n: audit.record(UserFactory(), [QueueFactory()], "Pause", reason="a test"),
    "auth/group": lambda n: Group.objects.create(name=f"group {n}"),
    "auth/user": lambda _n: UserFactory(),
    "django_celery_beat/clockedschedule": lambda n: ClockedSchedule.objects.create(
        clocked_time=NOW + timedelta(days=n)
    ),
    "django_celery_beat/crontabschedule": lambda n: CrontabSchedule.objects.create(minute=str(n)),
    "django_celery_beat/intervalschedule": lambda n: IntervalSchedule.objects.create(every=n + 1000, period="seconds"),
    "django_celery_beat/periodictask": _task,
    "django_celery_beat/solarschedule": lambda n: SolarSchedule.objects.create(
        event="sunrise", latitude=n, longitude=1
    ),
    "media_store/mediaasset": _image,
    "messaging/alertreceiver": lambda _n: AlertReceiverFactory(),
    "messaging/apitoken": lambda _n: ApiToken.objects.create(user=UserFactory()),
    "messaging/countrysenders": lambda n: CountrySenders.objects.create(
        country=f"{chr(65 + n // 26)}{chr(65 + n % 26)}", takes_names=False
    ),
    "messaging/erasure": lambda n: Erasure.objects.create(
        digest=f"{n:064}", pseudonym=f"erased-{n}", actor=UserFactory(), at=NOW, messages=1
    ),
    "messaging/gatewaycredential": lambda _n: GatewayCredentialFactory(),
    "messaging/budget": lambda _n: Budget.objects.create(
        owner=UserFactory(), period="day", limit_units=10, created_at=NOW, updated_at=NOW
    ),
    "messaging/hoursrule": lambda _n: HoursRuleFactory(),
    "messaging/keywordrule": lambda _n: KeywordRule.objects.create(
        sender_number=SenderFactory(), action="stop", words="STOP"
    ),
    "messaging/message": lambda _n: MessageFactory(owner=UserFactory(), provider=AccountFactory()),
    "messaging/optoutcase": lambda n: OptOutCase.objects.create(
        number=f"+1415555{n:04}",
        senders=["+15005550006"],
        owner=UserFactory(),
        text="please stop",
        opened_at=NOW,
        due_at=NOW,
    ),
    "messaging/outboundqueue": lambda n: MessageFactory(queue=QueueFactory(name=f"q{n}")),
    "messaging/ownerpolicy": lambda _n: OwnerPolicyFactory(),
    "messaging/phonenumber": lambda _n: PhoneNumberFactory(),
    "messaging/prefixrule": lambda n: PrefixRule.objects.create(
        owner=UserFactory(), prefix=f"+1{n + 1}", is_allowed=False, reason="a test", changed_at=NOW
    ),
    "messaging/pumpingalert": lambda n: PumpingAlert.objects.create(
        prefix=f"+62{n + 100}", since=NOW, last_seen_at=NOW, acknowledged_by=UserFactory()
    ),
    "messaging/velocitylimit": lambda _n: VelocityLimit.objects.create(owner=UserFactory(), changed_at=NOW),
    "messaging/providercallback": lambda _n: CallbackFactory(),
    "messaging/retentionrule": lambda n: RetentionRule.objects.create(
        owner=UserFactory(), queue=QueueFactory(name=f"q{n}"), text_days=1
    ),
    "messaging/suppression": lambda n: Suppression.objects.create(
        number=f"+1415555{n:04}", source="admin", created_at=NOW, created_by=UserFactory()
    ),
    "messaging/twilioaccount": lambda _n: TwilioAccountFactory(),
    "messaging/twilioapikey": lambda _n: TwilioApiKeyFactory(),
    "messaging/verification": lambda _n: VerificationFactory(),
    "messaging/webhookdelivery": lambda _n: WebhookDeliveryFactory(),
    "messaging/webhookendpoint": lambda _n: EndpointFactory(),
    "providers/provideraccount": lambda _n: AccountFactory(),
    "providers/providerevent": lambda _n: ProviderEvent.objects.create(
        account=AccountFactory(), at=NOW, kind="disabled", actor=UserFactory()
    ),
    "providers/sendernumber": lambda _n: SenderFactory(owner=UserFactory(), account=AccountFactory()),
    "scheduling/schedule": lambda n: create(UserFactory(), queue=QueueFactory(name=f"q{n}").pk),
}
