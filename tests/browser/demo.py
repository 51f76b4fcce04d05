"""Sample data of a company that sends text messages: at least one row for every page of the console."""

import json
import math
import random
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.admin.models import ADDITION, DELETION
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser, Group
from django.db.models import Model
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from media_store.services.storing import store
from messaging.console import audit
from messaging.models import (
    ApiToken,
    Attachment,
    BudgetSlot,
    CostTotal,
    KeywordRule,
    Message,
    OptOutCase,
    OutboundQueue,
    PrefixRule,
    PumpingAlert,
    RetentionRule,
    Rollup,
    Suppression,
    VelocityLimit,
    VerificationCount,
)
from messaging.models.rollup import EVER
from messaging.policy.budgets import start_of
from messaging.policy.template_content import TemplateVariable
from messaging.segments import measure
from messaging.services.costs import budget_changes
from messaging.services.installation import OPERATOR, VIEWER, install, service_user
from messaging.services.privacy import erasure
from messaging.services.reporting import heartbeats
from messaging.services.templates import saving
from messaging.states import Source, Status
from providers import services as providers
from providers.models import ProviderAccount, SenderNumber, SmppBind
from scheduling.models import Schedule, ScheduleRun
from tests.browser import demo_exchanges
from tests.factories import (
    AccountFactory,
    AlertReceiverFactory,
    AttemptFactory,
    CallbackFactory,
    ClientEventFactory,
    EndpointFactory,
    EventFactory,
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
from tests.media_store.other_files import KINDS
from tests.media_store.pictures import encoded, heic, picture
from tests.scheduling.making import create, recipient_list

CUSTOMER, PASSWORD = "+14155550142", "a long afternoon in November"
TEXTS = [
    "Your code is 493 201. It is valid for ten minutes. Nobody of us will ever ask you for it.",
    "Hello Ada, your parcel 00340434161094021501 arrives today between 14:00 and 16:00.",
    "Ihr Termin in der Praxis Dr. Öztürk ist morgen um 9:15 Uhr. Antworten Sie mit NEIN, wenn Sie nicht kommen können.",
    "Ваш заказ готов к выдаче 🎉",
    "ご予約ありがとうございます。明日の10時にお待ちしております。",
    "تم تأكيد حجزك. رقم الحجز 58213.",
    "https://example.com/a/very/long/address/without/any/break/that/a/narrow/column/could/be/torn/apart/by?with=a&q=too",
]
ERRORS = {
    Status.FAILED: ("attempts_exhausted", "The last attempt: carrier-eu answered 500 Internal Server Error."),
    Status.UNDELIVERED: ("unreachable", "The carrier reported: handset switched off or out of reach (30003)."),
    Status.UNKNOWN: ("no_answer", "The connection was reset after the request had been sent."),
}
STATUSES = [*[Status.DELIVERED] * 9, *ERRORS, Status.SENT, Status.QUEUED, Status.CANCELED, Status.SCHEDULED]


def make(now: datetime) -> dict[str, Model]:
    """Rows whose pages are worth a screenshot besides the newest of each list, by name."""
    install()
    mara, shop, clinic = _users()
    _carriers(mara, now)
    demo_exchanges.keep_in("carrier-us-west-backup")
    _queues_and_numbers(shop)
    chance = random.Random(7)
    for place in range(70):
        _message(chance, [shop, clinic], now - timedelta(minutes=7 * (70 - place)), place)
    found = {
        "unknown": Message.objects.filter(status=Status.UNKNOWN).first(),
        "failed after two calls": _message_with_history(shop, mara, now - timedelta(hours=2)),
        "message with files": _message_with_files(shop, now),
        **_schedules(shop, now),
    }
    _clients(shop, clinic, now)
    _opt_outs(shop, mara, now)
    _hours(shop, now)
    VerificationFactory(
        owner=shop, created_at=now, last_sent_at=now, updated_at=now, expires_at=now + timedelta(minutes=10)
    )
    _limits(shop, mara, now)
    _templates(shop, mara, now)
    _money(shop, clinic, now)
    _images(shop, clinic, now)
    _periodic_tasks(now)
    _figures(chance, shop, now)
    _audit_log(mara)
    heartbeats.tick()
    heartbeats.record_worker("worker-1:4711")
    return found


def _users() -> tuple[AbstractUser, AbstractUser, AbstractUser]:
    mara = UserFactory(
        username="mara", first_name="Mara", last_name="Lindqvist", email="mara@example.com", is_staff=True,
        is_superuser=True,
    )  # fmt: skip
    mara.set_password(PASSWORD)
    mara.save()
    operator = UserFactory(username="jonathan.okonkwo-williams", first_name="Jonathan", is_staff=True)
    operator.groups.add(Group.objects.get(name=OPERATOR))
    viewer = UserFactory(username="vera", email="vera@example.com", is_staff=True)
    viewer.set_password(PASSWORD)
    viewer.save()
    viewer.groups.add(Group.objects.get(name=VIEWER))
    return mara, service_user("shop-backend"), service_user("clinic-reminders")


def _carriers(mara: AbstractUser, now: datetime) -> None:
    AccountFactory(
        slug="twilio-main", backend="twilio", weight=70,
        config={"account_sid": "AC00000000000000000000000000000042", "auth_token": {"env": "TWILIO_AUTH_TOKEN"},
                "from_number": "+15005550006"},
    )  # fmt: skip
    AccountFactory(slug="carrier-eu", weight=30, config={
        "url": "https://gateway.carrier.example/v2/messages", "fields": {"to": "recipient", "message": "body"},
        "headers": {"Authorization": {"env": "PROVIDER_CARRIER_EU_KEY"}},
    })  # fmt: skip
    AccountFactory(slug="carrier-us-west-backup", weight=100)
    smpp = AccountFactory(slug="carrier-smpp", backend="smpp", weight=20, config={
        "host": "smpp.carrier.example", "port": 2775, "system_id": "clinic", "password": {"env": "SMS_CARRIER_PASSWORD"},
    })  # fmt: skip
    held = {"account": smpp, "holder": "sms-1/5f0c/42/a1b2c3d4", "lease_until": now + timedelta(hours=1), "window": 10}
    SmppBind.objects.create(number=1, state="bound", state_since=now - timedelta(days=3), in_flight=4, **held)
    SmppBind.objects.create(number=2, state="down", state_since=now, last_error="the carrier cannot be reached", **held)
    AccountFactory(slug="old-gateway", weight=0)
    providers.hold_open(slug="carrier-us-west-backup", reason="They bill twice, see ticket 8812", actor=mara, now=now)
    providers.set_enabled(slug="old-gateway", is_enabled=False, reason="The contract has ended", actor=mara, now=now)


def _queues_and_numbers(shop: AbstractUser) -> None:
    QueueFactory(
        name="newsletter", description="Offers of the week.", batch_size=200, interval_seconds=60, is_paused=True
    )
    SenderFactory(number="+15005550006", is_default=True)
    SenderFactory(number="+4915735985000", owner=shop, account=ProviderAccount.objects.get(pk="carrier-eu"))
    SenderFactory(number="+442071838750", is_default=True, owner=shop)


# --- Messages ---------------------------------------------------------------------------------------------------------


def _message(chance: random.Random, owners: list[AbstractUser], at: datetime, place: int) -> Message:
    text = TEXTS[place % len(TEXTS)]
    if place % 9 == 4:
        return MessageFactory(
            inbound=True, status=Status.PROCESSED, from_number=f"+1415555{place:04}", to_number="+15005550006",
            text="Can I come an hour later?", created_at=at, updated_at=at, received_at=at,
        )  # fmt: skip
    status = STATUSES[place % len(STATUSES)]
    code, detail = ERRORS.get(status, ("", ""))
    was_sent = status in {Status.SENT, Status.DELIVERED, Status.UNDELIVERED}
    account = chance.choice(["twilio-main", "carrier-eu", "carrier-us-west-backup"])
    waits = status in {Status.QUEUED, Status.SCHEDULED, Status.CANCELED}
    message = MessageFactory(
        status=status, owner=chance.choice(owners), to_number=f"+1415555{1000 + place}", text=text,
        encoding=measure(text).encoding, segments=measure(text).segments, reference=f"order-{90_000 + place}",
        queue=OutboundQueue.objects.get(name=chance.choice(["express", "express", "paced", "newsletter"])),
        provider=None if waits else ProviderAccount.objects.get(pk=account), created_at=at, updated_at=at,
        provider_message_id="" if waits else f"SM{place:032x}", error_code=code, error_detail=detail,
        send_at=at + timedelta(days=2) if status == Status.SCHEDULED else None,
        expires_at=at + timedelta(days=3), attempts=0 if waits else 1, sent_at=at if was_sent else None,
        delivered_at=at + timedelta(seconds=4) if status == Status.DELIVERED else None,
    )  # fmt: skip
    EventFactory(message=message, at=at, to_status=Status.QUEUED)
    if status not in {Status.QUEUED, Status.SCHEDULED}:
        EventFactory(message=message, at=at, from_status=Status.QUEUED, to_status=status, source=Source.DISPATCH)
    return message


def _message_with_history(shop: AbstractUser, mara: AbstractUser, at: datetime) -> Message:
    """A message with two attempts at two providers, a callback of each kind, a manual retry, and a conversation."""
    earlier = at - timedelta(days=1)
    for minutes, text in enumerate(
        ["Hello Ada, your parcel is on its way.", "Thank you! Can you leave it with my neighbour?"]
    ):
        moment = earlier + timedelta(minutes=minutes)
        theirs = {"inbound": True, "status": Status.PROCESSED, "from_number": CUSTOMER, "to_number": "+15005550006"}
        ours = {"delivered": True, "owner": shop, "to_number": CUSTOMER, "delivered_at": moment, "sent_at": moment}
        MessageFactory(
            **(theirs | {"received_at": moment} if minutes else ours), text=text, created_at=moment, updated_at=moment
        )
    eu, twilio = (ProviderAccount.objects.get(pk=slug) for slug in ("carrier-eu", "twilio-main"))
    message = MessageFactory(
        status=Status.UNDELIVERED, owner=shop, to_number=CUSTOMER, text=TEXTS[1] + "\n\nYour shop", provider=twilio,
        provider_message_id="SM5e1f0cde8f3b4d54a2d3bd7a2f6b1c99", error_code="unreachable",
        error_detail=ERRORS[Status.UNDELIVERED][1], attempts=2, sent_at=at, reference="order-81134-the-second-parcel",
        created_at=at, updated_at=at, callback_url="https://shop.example/hooks/sms",
    )  # fmt: skip

    def later(seconds: float) -> datetime:
        return at + timedelta(seconds=seconds)

    EventFactory(message=message, at=at, to_status=Status.QUEUED, source=Source.API)
    moves = [
        (0.2, Status.QUEUED, Status.SENDING, Source.DISPATCH, "carrier-eu", ""),
        (3.4, Status.SENDING, Status.FAILED, Source.DISPATCH, "carrier-eu", "rejected: 422 sender is not registered"),
        (300, Status.FAILED, Status.QUEUED, Source.OPERATOR, "", "The sender is registered now, see ticket 8790"),
        (300.3, Status.QUEUED, Status.SENDING, Source.DISPATCH, "twilio-main", ""),
        (300.9, Status.SENDING, Status.SENT, Source.DISPATCH, "twilio-main", ""),
        (420, Status.SENT, Status.UNDELIVERED, Source.RECEIPT, "twilio-main", "30003"),
    ]
    for seconds, before, after, source, slug, detail in moves:
        EventFactory(
            message=message, at=later(seconds), from_status=before, to_status=after, source=source, provider_slug=slug,
            detail=detail, actor=mara if source == Source.OPERATOR else None,
        )  # fmt: skip
    AttemptFactory(
        message=message, provider=eu, started_at=later(0.2), finished_at=later(3.4), latency_ms=3187, outcome="rejected",
        error_code="sender_refused", error_detail="422 Unprocessable: sender is not registered for this country",
    )  # fmt: skip
    AttemptFactory(
        message=message, number=2, provider=twilio, started_at=later(300.3), finished_at=later(300.9), latency_ms=587,
        provider_message_id=message.provider_message_id,
    )  # fmt: skip
    receipt = {"MessageSid": message.provider_message_id, "MessageStatus": "undelivered", "ErrorCode": "30003",
            "To": CUSTOMER, "Body": TEXTS[1], "ApiVersion": "2010-04-01"}  # fmt: skip
    CallbackFactory(provider=twilio, message=message, received_at=later(301.2), state="ignored", word="sent",
                    reported="sent", provider_message_id=message.provider_message_id, note="It was sent already.",
                    body="MessageSid=SM5e1f0cde8f3b4d54a2d3bd7a2f6b1c99&MessageStatus=sent")  # fmt: skip
    CallbackFactory(provider=twilio, message=message, received_at=later(420), state="applied", word="undelivered",
                    reported="undelivered", error_code="30003", provider_message_id=message.provider_message_id,
                    body=json.dumps({**receipt, "Segments": {"count": 1, "encoding": "GSM-7"}}))  # fmt: skip
    CallbackFactory(provider=eu, received_at=later(500), state="unmatched", provider_message_id="eu-unseen-before-771")
    CallbackFactory(provider=eu, received_at=later(700), state="malformed", word="", reported="", provider_message_id="",
                    body="<html>Bad gateway</html>", note="neither JSON nor a form")  # fmt: skip
    return message


# --- Schedules --------------------------------------------------------------------------------------------------------


def _schedules(shop: AbstractUser, now: datetime) -> dict[str, Schedule]:
    tomorrow = (now + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0, tzinfo=None)
    listed = recipient_list(*((f"+1415556{place:04}", {"name": "Ada"}) for place in range(40)))
    recurring = create(
        shop, listed, now=now, name="Appointments of the week, with a reminder for the day before", text="Hi {name}",
        run_at=tomorrow, time_zone="Europe/Berlin", recurrence="RRULE:FREQ=WEEKLY;BYDAY=MO,TH;COUNT=12",
    )  # fmt: skip
    create(shop, 3, now=now, name="Opening hours on Sunday", run_at=tomorrow, time_zone="America/New_York")
    paused = create(shop, 12, now=now, name="Offer of the month", run_at=tomorrow, recurrence="RRULE:FREQ=MONTHLY")
    running = create(shop, listed, now=now, name="Stock has arrived", run_at=tomorrow)
    ended = create(shop, 5, now=now, name="Thank you for your visit", run_at=tomorrow)
    Schedule.objects.filter(pk=paused.pk).update(status="paused")
    Schedule.objects.filter(pk=running.pk).update(occurrences=1, status="completed", next_wall="", next_run_at=None)
    Schedule.objects.filter(pk=ended.pk).update(status="canceled", next_wall="", next_run_at=None)
    run = ScheduleRun.objects.create(
        schedule=running, due_at=now - timedelta(minutes=4), status="expanding", started_at=now, created_messages=24,
        skipped_inactive=1, skipped_opted_out=2,
    )  # fmt: skip
    ScheduleRun.objects.create(
        schedule=recurring, due_at=now - timedelta(hours=9), status="missed", detail="Nobody was there at that time."
    )
    for place in range(24):
        MessageFactory(
            owner=shop, schedule_id=running.pk, run_id=run.pk, is_bulk=True, to_number=f"+1415556{place:04}",
            status=Status.DELIVERED if place < 15 else Status.QUEUED, text="Hi Ada", created_at=now, updated_at=now,
            delivered_at=now if place < 15 else None, expires_at=now + timedelta(hours=4),
        )  # fmt: skip
    return {"recurring": recurring, "running": running}


# --- The rest ---------------------------------------------------------------------------------------------------------


def _clients(shop: AbstractUser, clinic: AbstractUser, now: datetime) -> None:
    good = EndpointFactory(
        owner=shop, url="https://shop.example/hooks/switchboard/messages?tenant=europe-and-middle-east",
        events=["message.delivered", "message.failed", "message.undelivered", "schedule.completed"],
        description="The order database", created_at=now, updated_at=now,
    )  # fmt: skip
    GatewayCredentialFactory(
        user=clinic, system_id="clinic-smpp", label="The practice software", max_sessions=4,
        allowed_addresses=["192.0.2.0/24", "2001:db8::/32"], last_used_at=now - timedelta(minutes=3),
    )  # fmt: skip
    AlertReceiverFactory(name="sign-in", hook=True, owner=shop, template="{otp} is your code for the shop.")
    AlertReceiverFactory(
        name="on-call", owner=clinic, recipients=["+14155550151", "+4915112345671", "+442071838751"], sender="+15005550006",
        template="{status} {severity} {alerts} {more}", sends_resolved=True,
    )  # fmt: skip
    twilio = TwilioAccountFactory(
        user=shop, sid="AC7c9e6679f4b14d0b9a5c1f3e2d8b6a40", last_used_at=now - timedelta(minutes=1)
    )
    TwilioApiKeyFactory(account=twilio, sid="SK0f8fad5bd9cb469fa16570867728950e", label="The shop's till, Frankfurt and Vienna",
                        created_at=now)  # fmt: skip
    bad = EndpointFactory(owner=clinic, url="https://clinic.example/sms", failing_since=now - timedelta(hours=3),
                          created_at=now, updated_at=now)  # fmt: skip
    EndpointFactory(owner=clinic, url="https://old.example/", is_enabled=False, disabled_reason="410 Gone", created_at=now,
                    updated_at=now)  # fmt: skip
    ended = {"created_at": now, "attempted_at": now, "finished_at": now, "attempts": 1}
    for message in Message.objects.filter(owner=shop, status=Status.DELIVERED)[:4]:
        event = ClientEventFactory(message=message, at=now)
        WebhookDeliveryFactory(endpoint=good, event=event, state="succeeded", response_status=200, **ended)
    message = Message.objects.filter(owner=clinic, status=Status.DELIVERED).first()
    pending = {"state": "pending", "attempts": 5, "response_status": 503, "error": "503 Service Unavailable"}
    WebhookDeliveryFactory(endpoint=bad, event=ClientEventFactory(message=message, at=now), created_at=now,
                           next_attempt_at=now + timedelta(minutes=40), attempted_at=now, **pending)  # fmt: skip
    WebhookDeliveryFactory(endpoint=bad, event=None, state="failed", error="the connection was refused", **ended)
    for name, user in (("order database, Frankfurt", shop), ("", clinic)):
        ApiToken.objects.create(user=user, name=name, expiry=timedelta(days=90) if name else None)


def _opt_outs(shop: AbstractUser, mara: AbstractUser, now: datetime) -> None:
    PhoneNumberFactory(number=CUSTOMER)
    PhoneNumberFactory(number="+14155550199", inactive=True, reason="twilio-main: 21211 is not a valid number")
    PhoneNumberFactory(number="+4915112345678", inactive=True, reason="Asked for on the phone")
    rows = [
        ("keyword", "", "STOP"),
        ("admin", "+15005550006", "Has called us twice"),
        ("provider", "", "21610"),
        ("api", "", ""),
    ]
    for place, (source, sender, reason) in enumerate(rows):
        Suppression.objects.create(
            number=f"+141555577{place:02}", sender=sender, source=source, reason=reason, created_at=now,
            created_by=mara if source == "admin" else None,
        )  # fmt: skip
    Suppression.objects.create(
        number="+14155557790", source="admin", channel="letter", requested_at=now - timedelta(days=3), created_by=mara,
        reason="Asked by letter", note="Folder 7, scanned on Monday", created_at=now,
    )  # fmt: skip
    for place, (words, due_in) in enumerate([
        ("please stop texting me", 6), ("Stop. Thank you", 9), ("remove me from your list, I have asked you twice!", -1)
    ]):  # fmt: skip
        OptOutCase.objects.create(
            number=f"+1415555780{place}", sender="+15005550006", senders=["+15005550006"], owner=shop, text=words,
            opened_at=now - timedelta(days=14 - due_in), due_at=now + timedelta(days=due_in),
        )  # fmt: skip
    KeywordRule.objects.create(action="stop", words="STOP\nSTOPP\nNEIN DANKE", reply="You get nothing more from us.")
    KeywordRule.objects.create(
        sender_number=SenderNumber.objects.get(owner=shop, is_default=True), action="help", words="HELP\nINFO",
        reply="Shop: call +44 20 7183 8750, Monday to Friday. Reply STOP to get nothing more.",
    )  # fmt: skip
    RetentionRule.objects.create(owner=shop, text_days=30, row_days=400)
    RetentionRule.objects.create(queue=OutboundQueue.objects.get(name="newsletter"), text_days=7)
    MessageFactory(
        owner=shop,
        delivered=True,
        to_number="+14155550111",
        created_at=now,
        updated_at=now,
        sent_at=now,
        delivered_at=now,
    )
    erasure.erase(number="+14155550111", reason="Article 17, letter of 3 November, case 2026-118", actor=mara, now=now)


def _hours(shop: AbstractUser, now: datetime) -> None:
    """A campaign that waits for the morning of its recipients."""
    HoursRuleFactory(
        id="at-evening", name="Evenings in Austria", countries=["AT"], source="Agreed with the works council",
        hours=[[[540, 1200]]] * 5 + [[[600, 1080]], []], holidays="AT",
    )  # fmt: skip
    OwnerPolicyFactory(owner=shop, default_time_zone="Europe/Berlin")
    for hours, reason in (
        (9, "08:00 Europe/Berlin (2 Dec): marketing hours, rule default"),
        (15, "09:00 America/Chicago (2 Dec): marketing hours, rule us-tx"),
    ):
        MessageFactory.create_batch(
            3, owner=shop, category="marketing", text="20 % off boots until Sunday", created_at=now, updated_at=now,
            error_code="outside_hours", error_detail=f"Held until {reason}.", next_attempt_at=now + timedelta(hours=hours),
            expires_at=now + timedelta(days=1),
        )  # fmt: skip


def _templates(shop: AbstractUser, mara: AbstractUser, now: datetime) -> None:
    variables = [TemplateVariable(name=name, sample=sample) for name, sample in (("name", "Ada"), ("time", "10:00"))]
    texts = {
        "en": "Hi {name}, we look forward to seeing you at {time}. Please bring your insurance card.",
        "de": "Hallo {name}, wir freuen uns auf Sie um {time} - bitte bringen Sie Ihre Karte mit.",
    }
    content = saving.TemplateInput(texts=texts, default_language="en", variables=variables)
    first = saving.create(owner=shop, name="reminder", content=content, actor=mara, now=now - timedelta(days=9))
    later = replace(content, texts={**texts, "fr": "Bonjour {name}, à {time} !"}, smart_encoding=True)
    saving.save(newest=first, based_on=1, name="reminder", content=later, actor=mara, now=now)


def _limits(shop: AbstractUser, mara: AbstractUser, now: datetime) -> None:
    """Prefixes, velocity limits, and three episodes of SMS pumping."""
    PrefixRule.objects.create(prefix="+8816", is_allowed=True, owner=shop, reason="our ships", changed_at=now)
    PrefixRule.objects.create(country="ZZ", is_allowed=False, reason="no business there", changed_at=now)
    VelocityLimit.objects.create(recipient_per_hour=20, recipient_of_all_per_hour=50, changed_at=now)
    VelocityLimit.objects.create(owner=shop, new_recipients_per_minute=600, calling_code_per_hour=5_000, changed_at=now)
    few = "3 of 212 verifications were approved; at least 76% is usual."
    many = "640 codes in an hour; 35 is the most in the last two weeks."
    common = {"last_seen_at": now, "started": 212, "approved": 3, "codes": 0}
    PumpingAlert.objects.create(prefix="+62812", since=now, detail=few, is_holding=True, **common)
    PumpingAlert.objects.create(prefix="+355661", since=now - timedelta(hours=1), detail=many, **common)
    hour = now.replace(minute=0, second=0, microsecond=0)
    for prefix, slug, started, approved in (
        ("+1415", "a-provider-with-a-long-name", 12_345, 9_876),
        ("+1415", "acme", 400, 61),
        ("+49151", "acme", 90, 77),
        ("+355661", "", 38, 0),
    ):
        VerificationCount.objects.create(
            hour=hour, prefix=prefix, provider_slug=slug, started=started, approved=approved
        )
    ended = now - timedelta(days=3)
    PumpingAlert.objects.create(
        prefix="+22890", since=ended, ended_at=ended, acknowledged_at=ended, acknowledged_by=mara, detail=few, **common
    )


def _money(shop: AbstractUser, clinic: AbstractUser, now: datetime) -> None:
    """Budgets with room, near their limit and full, and what a week has cost in two currencies."""
    for owner, country, period, currency, limit, used in (
        (shop, "", "month", "EUR", "1250.50", 412_250_000),
        (shop, "DE", "day", "", "5000", 4_210),
        (clinic, "", "day", "", "800", 800),
        (clinic, "CH", "month", "CHF", "90", 0),
    ):
        row = budget_changes.create(
            owner=owner, country=country, period=period, currency=currency, limit=Decimal(limit), now=now
        )
        BudgetSlot.objects.create(budget=row, period_start=start_of(period, now), number=0, used=used)
    for age in range(7):
        for place, (account, country, currency) in enumerate(
            (("carrier-eu", "DE", "EUR"), ("carrier-eu", "AT", "EUR"), ("carrier-us-west-backup", "US", "USD"))
        ):
            count = 400 - 40 * age + 130 * place
            CostTotal.objects.create(
                day=now.date() - timedelta(days=age), owner_id=shop.pk, account=account, country=country,
                category="transactional", currency=currency, attempts=count, segments=count + 31, units=count * 75_100,
            )  # fmt: skip


def _images(shop: AbstractUser, clinic: AbstractUser, now: datetime) -> None:
    sizes = [(1200, 800), (300, 900), (64, 64), (900, 200)]
    for shade, (width, height) in enumerate(sizes):
        content = encoded("PNG" if shade % 2 else "JPEG", picture(width, height, shade=shade * 40))
        store(owner=shop, stream=[content], now=now)
    store(owner=clinic, stream=[content], now=now)
    store(owner=shop, stream=[heic(picture(400, 300, shade=120))], now=now)


def _message_with_files(shop: AbstractUser, now: datetime) -> Message:
    """A picture, a contact, a file that is being fetched, and one that is lost."""
    content_type, card = KINDS["vcard"]
    kept = [
        store(owner=shop, stream=[encoded("JPEG", picture(640, 480, shade=7))], now=now).asset,
        store(owner=shop, stream=[card], now=now, allow_files={content_type}).asset,
    ]
    rows: list[dict[str, Any]] = [{"asset": asset} for asset in kept]
    rows.append({"source_url": "https://carrier.example/1", "next_attempt_at": now + timedelta(minutes=2)})
    rows.append({"error_code": "too_large", "error": "The file is larger than 5,242,880 bytes."})
    message = MessageFactory(
        inbound=True, owner=shop, from_number=CUSTOMER, text="Here is the receipt and my card.", media_count=len(rows)
    )
    for position, row in enumerate(rows):
        Attachment.objects.create(message=message, position=position, **row)
    return message


def _periodic_tasks(now: datetime) -> None:
    second = IntervalSchedule.objects.create(every=1, period="seconds")
    night = CrontabSchedule.objects.create(minute="30", hour="2", timezone="Europe/Berlin")
    SolarSchedule.objects.create(event="sunrise", latitude=52.52, longitude=13.41)
    ClockedSchedule.objects.create(clocked_time=now + timedelta(days=3))
    PeriodicTask.objects.create(
        name="tick", task="messaging.tick", interval=second, last_run_at=now, total_run_count=81_234
    )
    PeriodicTask.objects.create(
        name="media", task="media_store.sweep", crontab=night, description="Files without an owner."
    )
    PeriodicTask.objects.create(name="purge", task="messaging.purge", crontab=night, enabled=False, one_off=False)


def _figures(chance: random.Random, shop: AbstractUser, now: datetime) -> None:
    """Statistics of a month: more traffic by day than by night, and one bad hour of one provider."""
    newest = now.replace(minute=0, second=0, microsecond=0)
    shares = {"delivered": 1.0, "undelivered": 0.03, "failed": 0.008, "canceled": 0.004, "sent": 1.05}
    counts: dict[tuple[datetime, str, str], float] = {}
    for age in range(720):
        hour = newest - timedelta(hours=age)
        busy = 250 * (1.15 + math.sin((hour.hour - 9) / 24 * 2 * math.pi)) * chance.uniform(0.85, 1.15)
        for word, share in shares.items():
            bad = 12 if age in {5, 6} and word in {"failed", "undelivered"} else 1
            counts[hour, "twilio-main", word] = busy * share * bad * 0.7
            counts[hour, "carrier-eu", word] = busy * share * bad * 0.3
        counts[hour, "", "received"] = busy / 20
    # The current values are those of all time.
    for word in ("queued", "scheduled", "unknown"):
        counts[newest, "", word] = counts[EVER, "", word] = Message.objects.filter(status=word).count()
    Rollup.objects.bulk_create(
        Rollup(
            measure="entered", hour=hour, owner_id=shop.pk, provider_slug=slug, word=word, count=int(count),
            seconds=count * 3.4,
        )
        for (hour, slug, word), count in counts.items()
    )  # fmt: skip


def _audit_log(mara: AbstractUser) -> None:
    queue = OutboundQueue.objects.get(name="newsletter")
    audit.record(mara, [queue], "Pause", reason="The offer of this week has a wrong price")
    audit.record(
        mara, [Message.objects.filter(status=Status.CANCELED).first()], "Cancel", reason="Sent twice by the shop"
    )
    audit.record(mara, [Suppression.objects.first()], "Added", reason="Has called us", flag=ADDITION)
    audit.record(
        mara, [KeywordRule.objects.first()], "Deleted", reason="The words are in the other rule", flag=DELETION
    )
    audit.record_on_table(mara, Message, "Exported as CSV: status__exact=failed.")


def admin() -> AbstractUser:
    return get_user_model().objects.get(username="mara")


def viewer() -> AbstractUser:
    return get_user_model().objects.get(username="vera")


def group() -> Group:
    return Group.objects.get(name=VIEWER)
