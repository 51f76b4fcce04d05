"""What is kept of a person: each table is covered by the export and by the erasure."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from messaging.console import audit
from messaging.models import (
    AlertChannel,
    Attachment,
    Erasure,
    IdempotencyRecord,
    Message,
    OptOutCase,
    PhoneNumber,
    Suppression,
)
from messaging.services.privacy.personal_data import PERSONAL
from messaging.services.representation import serialize_message
from scheduling.models import ScheduleRecipient
from scheduling.services import erasure
from scheduling.services.person_export import SECTIONS, person_export
from tests.factories import (
    NOW,
    AlertNoticeFactory,
    AlertReceiverFactory,
    AttemptFactory,
    CallbackFactory,
    ClientEventFactory,
    EventFactory,
    GatewayPartFactory,
    GatewayReceiptFactory,
    GatewayTextFactory,
    InboundPartFactory,
    MessageFactory,
    PhoneNumberFactory,
    UserFactory,
    VerificationFactory,
    WebhookDeliveryFactory,
    lose_the_key,
)
from tests.scheduling.making import create, recipient_list

PERSON, OTHER = "+14155550101", "+14155550102"
APPS = ("messaging", "scheduling", "providers", "media_store")
# Beside `PERSONAL`, in tables of `scheduling`.
PERSONAL_IN_LISTS = {ScheduleRecipient: ("schedule_recipients", frozenset({"number", "variables"}))}
# Columns for text that have neither a person's number nor a person's words: a new column belongs here or into `PERSONAL`. The
# texts of schedules and templates are for many; counts have prefixes only.
OTHERS = {
    "messaging.ApiToken": {"digest", "token_key", "name"},
    "messaging.OutboundQueue": {"name", "description"},
    "messaging.Message": {
        *("callback_url", "callback_dialect", "provider_message_id", "error_code", "pending_reply", "provider_keyword"),
        "reference",
    },
    "messaging.AlertReceiver": {"name", "sender", "template", "secret"},
    "messaging.AlertChannel": {"key", "recent"},
    "messaging.AlertNotice": {"digest"},
    "messaging.Attachment": {"error_code"},
    "messaging.Budget": {"country", "currency"},
    "messaging.BudgetCharge": {"currency"},
    "messaging.CodeCount": {"prefix"},
    "messaging.CostJournal": {"costs"},
    "messaging.CostTotal": {"account", "category", "country", "currency", "template"},
    "messaging.CountrySenders": {"country", "source"},
    "messaging.DeliveryAttempt": {"currency", "error_code", "price_source", "provider_message_id"},
    "messaging.MessageTemplate": {"name"},
    "messaging.AttemptPart": {"provider_message_id", "reported"},
    "messaging.ProviderCallback": {
        "digest",
        "provider_message_id",
        "id_key",
        "reported",
        "word",
        "error_code",
        "currency",
    },
    "messaging.MessageEvent": {"from_status", "to_status", "provider_slug"},
    "messaging.GatewayCredential": {"system_id", "password", "label", "allowed_addresses"},
    "messaging.GatewaySession": {"address"},
    "messaging.GatewayPart": {"reference", "digest"},
    "messaging.GatewayReceipt": {"error"},
    "messaging.HoursRule": {"id", "name", "countries", "prefixes", "categories", "hours", "holidays", "source"},
    "messaging.IdempotencyRecord": {"key", "fingerprint"},
    "messaging.InboundPart": {"reference", "provider_message_id", "provider_keyword", "digest"},
    "messaging.OptOutCase": {"sender", "senders"},
    "messaging.Erasure": {"digest", "pseudonym"},
    "messaging.OwnerPolicy": {"default_time_zone"},
    "messaging.PrefixRule": {"country", "prefix", "reason"},
    "messaging.PumpingAlert": {"detail", "prefix"},
    "messaging.Rollup": {"measure", "provider_slug", "word"},
    "messaging.CountJournal": {"counts"},
    "messaging.Suppression": {"sender"},
    "messaging.KeywordRule": {"words", "reply"},
    "messaging.TemplateVersion": {"default_language", "parameters", "texts", "variables"},
    "messaging.TwilioAccount": {
        *("sid", "auth_token", "auth_token_digest", "secondary_token", "secondary_token_digest"),
    },
    "messaging.TwilioApiKey": {"sid", "secret_digest", "label"},
    "messaging.Verification": {"key_id", "offsets", "prefix", "provider_slug", "sender"},
    "messaging.VerificationLimit": {"key"},
    "messaging.VerificationCount": {"prefix", "provider_slug"},
    "messaging.WebhookEndpoint": {"url", "events", "number", "description", "disabled_reason"},
    "messaging.WebhookSecret": {"sealed"},
    "scheduling.Schedule": {
        *(
            "language",
            "name",
            "text",
            "from_number",
            "parameters",
            "time_zone",
            "recurrence",
            "left_out_dates",
            "added_dates",
        ),
        *("holidays", "start_wall", "last_wall", "last_added_wall", "next_wall", "zone_release"),
    },
    "scheduling.ListImport": {"file_name", "mapping", "refusals", "problem"},
    "scheduling.ScheduleRun": {"detail"},
    "providers.ProviderAccount": {"slug", "backend", "config"},
    "providers.ProviderEvent": {"detail"},
    "providers.SenderNumber": {"number"},
    "providers.SmppBind": {"holder", "last_error"},
    "media_store.MediaAsset": {"sha256", "clean_content_type"},
    "media_store.MediaRendition": {"profile", "content_type"},
}
QUERIES = 29
TEXTUAL = (models.CharField, models.TextField, models.JSONField)


def columns(model: type[models.Model]) -> set[str]:
    """The columns of free text or JSON."""
    return {each.name for each in model._meta.concrete_fields if isinstance(each, TEXTUAL) and not each.choices}


def our_models() -> Iterator[type[models.Model]]:
    for label in APPS:
        yield from apps.get_app_config(label).get_models()


def export(actor: Any, number: str = PERSON) -> dict[str, Any]:
    return json.loads("".join(person_export(number=number, actor=actor, now=NOW)))


def places_of(number: str) -> set[str]:
    """Where the digits of the number stand, of all columns of all tables."""
    digits = number.removeprefix("+")
    return {
        f"{model.__name__}.{name}"
        for model in (*our_models(), LogEntry)
        for name in columns(model)
        if any(digits in str(value) for value in model._default_manager.values_list(name, flat=True))
    }


@pytest.fixture
def staff(db):
    return UserFactory(is_staff=True, username="anna")


@pytest.fixture
def person(staff) -> None:
    """A row of each personal table, with the person's number in each column that may have it."""
    PhoneNumberFactory(number=PERSON, reason=f"no such number {PERSON}")
    sent = MessageFactory(
        delivered=True, to_number=PERSON, error_detail=f"{PERSON} was busy", owner=UserFactory(username="client")
    )
    AttemptFactory(message=sent, error_detail="14155550101 is not reachable", finished_at=NOW)
    EventFactory(message=sent, detail=f"retried for {PERSON}")
    CallbackFactory(message=sent, body=json.dumps({"to": PERSON, "auth_token": "hush"}), state="applied")
    event = ClientEventFactory(message=sent)
    WebhookDeliveryFactory(event=event)
    came = MessageFactory(inbound=True, status="processed", from_number=PERSON, to_number="+15005550006", media_count=1)
    Attachment.objects.create(message=came, position=0, source_url=f"https://a.example/{PERSON}", error_code="x")
    CallbackFactory(state="unmatched", body="From=%2B14155550101")
    for channel in ("letter", "phone"):
        Suppression.objects.create(number=PERSON, source="admin", channel=channel, note=PERSON, created_at=NOW)
    OptOutCase.objects.create(
        number=PERSON, sender="+15005550007", senders=["+15005550007"], text=f"stop {PERSON}", opened_at=NOW, due_at=NOW
    )
    VerificationFactory(owner=UserFactory(), to_number=PERSON)
    InboundPartFactory(from_number=PERSON)
    GatewayPartFactory(to_number=PERSON)
    GatewayReceiptFactory(message=MessageFactory(delivered=True, to_number=PERSON))
    GatewayTextFactory(message__from_number=PERSON)
    IdempotencyRecord.objects.create(
        owner=staff, key="k", fingerprint="f", response=json.dumps(serialize_message(sent)), created_at=NOW
    )
    receiver = AlertReceiverFactory(recipients=[PERSON, OTHER])
    AlertChannel.objects.create(key="k", owner=receiver.owner, recipients=[PERSON], used_at=NOW)
    AlertNoticeFactory(is_held=True, counts={f"Disk of {PERSON}": 1})
    Erasure.objects.create(digest="0" * 64, pseudonym="erased-0", actor=staff, at=NOW, messages=1)
    audit.record(staff, PhoneNumber.objects.filter(pk=PERSON), "Deactivated")
    create(staff, recipient_list((PERSON, {"name": "Ada"}), (OTHER, {"name": "Eve"})))


@pytest.fixture
def other(staff) -> None:
    MessageFactory(delivered=True, to_number=OTHER)
    CallbackFactory(state="unmatched", body=OTHER)


def test_every_column_for_text_has_been_classified(subtests) -> None:
    personal = {**PERSONAL, **PERSONAL_IN_LISTS}
    for model in our_models():
        with subtests.test(model.__name__):
            _, covered = personal.get(model, ("", frozenset()))
            others = OTHERS.get(model._meta.label, set())
            assert columns(model) == covered | others
            assert not covered & others


def test_every_personal_table_is_in_the_export(staff, person) -> None:
    found = export(staff)

    assert set(found) == {"number", "exported_at", *SECTIONS}
    sections = {section for section, _ in {**PERSONAL, **PERSONAL_IN_LISTS}.values()}
    assert sections == set(SECTIONS) - {"waiting_lists"}
    assert {name for name in sections if not found[name]} == {"erasures"}  # of another number
    for model in PERSONAL:
        assert model._default_manager.exists()


def test_after_an_erasure_the_number_is_nowhere_but_in_suppressions(staff, person) -> None:
    assert len(places_of(PERSON)) > len(PERSONAL)

    erasure.erase(number=PERSON, reason="asked by letter", actor=staff, now=NOW)

    assert places_of(PERSON) == {"Suppression.number"}
    found = export(staff)
    assert {name for name in SECTIONS if found[name]} == {"suppressions", "erasures", "audit_log"}


def test_what_an_open_case_asks_for_is_suppressed_by_an_erasure(staff, person) -> None:
    erasure.erase(number=PERSON, reason="asked by letter", actor=staff, now=NOW)

    assert Suppression.objects.get(channel="text").sender == "+15005550007"
    case = OptOutCase.objects.get()
    assert (case.decision, case.text) == ("suppressed", "")


def test_a_message_has_its_history_attempts_media_webhooks_and_callbacks(staff, person) -> None:
    sent = next(row for row in export(staff)["messages"] if row["delivery_attempts"])

    assert (sent["to"], sent["message"], sent["text_unreadable"]) == (PERSON, "Your code is 123456", False)
    assert sent["events"][-1]["detail"] == f"retried for {PERSON}"
    assert sent["delivery_attempts"][0]["detail"] == "14155550101 is not reachable"
    assert sent["webhooks"][0]["deliveries"][0]["host"].endswith(".example.com")
    assert sent["callbacks"][0]["fields"] == {"to": PERSON, "auth_token": "••••••"}


def test_nothing_of_others_and_no_secrets_are_in_it(staff, person, other) -> None:
    document = json.dumps(export(staff), ensure_ascii=False)

    assert OTHER not in document
    assert not [word for word in ("hush", "anna", 'client"', "Eve", "whsec_") if word in document]


def test_a_callback_about_several_people_is_only_named(staff, person) -> None:
    CallbackFactory(state="malformed", body=json.dumps({"results": [{"to": PERSON}, {"to": OTHER}]}))

    fields = [row["fields"] for row in export(staff)["provider_callbacks"]]

    assert fields == [{"From": PERSON}, None]


def test_a_text_that_cannot_be_decrypted_does_not_break_it(staff) -> None:
    lose_the_key(MessageFactory(delivered=True, to_number=PERSON))

    [row] = export(staff)["messages"]

    assert (row["message"], row["text_unreadable"]) == ("", True)


def test_of_an_unknown_number_nothing_is_kept_and_the_question_is_recorded(staff) -> None:
    found = export(staff)

    [entry] = found.pop("audit_log")
    assert entry["change"] == "Exported everything that is kept of this person."
    assert found == {
        "number": PERSON,
        "exported_at": "2026-11-22T09:00:00Z",
        **{name: [] for name in SECTIONS if name != "audit_log"},
    }
    assert LogEntry.objects.get().user == staff


@pytest.mark.parametrize("count", [1, 25])
def test_its_queries_do_not_grow_with_the_messages_of_a_chunk(staff, count: int) -> None:
    for message in MessageFactory.create_batch(count, delivered=True, to_number=PERSON):
        AttemptFactory(message=message)

    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert len(export(staff)["messages"]) == count

    assert len(captured) == QUERIES


def test_rows_are_read_while_they_are_taken(staff, monkeypatch) -> None:
    monkeypatch.setattr("messaging.services.privacy.export.CHUNK", 2)
    MessageFactory.create_batch(5, delivered=True, to_number=PERSON)
    pieces = person_export(number=PERSON, actor=staff, now=NOW)
    while "Your code" not in next(pieces):
        pass

    Message.objects.order_by("pk").last().delete()

    assert "".join(pieces).count("Your code") == 3
