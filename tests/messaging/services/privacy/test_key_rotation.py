"""Key rotation of every encrypted column."""

import base64

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db.models import TextField
from django.db.models.functions import Cast

from messaging.models import IdempotencyRecord, Message, OptOutCase
from messaging.services.outbound import bulk_insert
from messaging.services.outbound.bulk_insert import Variant
from messaging.services.privacy import key_rotation
from messaging.states import Source
from scheduling.models import Schedule, ScheduleRecipient
from tests.factories import (
    NOW,
    AlertNoticeFactory,
    CallbackFactory,
    GatewayPartFactory,
    InboundPartFactory,
    MessageFactory,
    UserFactory,
    VerificationFactory,
    lose_the_key,
)
from tests.scheduling.making import due_run, recipient_list

pytestmark = pytest.mark.django_db
OLD, NEW = (f"{name}:{base64.urlsafe_b64encode(name.encode() * 10 + b'12').decode()}" for name in ("old", "new"))


class Stopped(Exception):
    pass


@pytest.fixture
def use_keys(settings):
    def use(*keys: str) -> None:
        settings.FIELD_ENCRYPTION_KEYS = list(keys)

    return use


def stored(model, column: str) -> set[str]:
    """The stored values, as they are in the database."""
    rows = model.objects.annotate(stored=Cast(column, TextField())).values_list("stored", flat=True)
    return {text.strip('"') for text in rows}


def test_every_text_is_encrypted_and_read_back(use_keys) -> None:
    use_keys(NEW)
    owner = UserFactory()
    MessageFactory(text="Your code is 123456")
    CallbackFactory(body='{"text": "hello"}')
    InboundPartFactory(text="Part one", unabridged={"from": "somebody@example.com"})
    GatewayPartFactory()
    VerificationFactory()
    AlertNoticeFactory(is_held=True, counts={"HighLoad": 9})
    OptOutCase.objects.create(number="+14155550101", senders=[""], text="please stop", opened_at=NOW, due_at=NOW)
    IdempotencyRecord.objects.create(owner=owner, key="k", fingerprint="f", response='{"message": "x"}', created_at=NOW)
    due_run(owner, recipient_list(("+14155550101", {"name": "Ada"})), text="Hi {name}")

    columns = key_rotation.encrypted_columns(apps.get_models())
    assert {f"{model.__name__}.{field.name}" for model, field in columns} == {
        "AlertNotice.counts",
        "Message.text",
        "GatewayPart.octets",
        "OptOutCase.text",
        "InboundPart.text",
        "InboundPart.unabridged",
        "ProviderCallback.body",
        "IdempotencyRecord.response",
        "Schedule.text",
        "Verification.text",
        "ScheduleRecipient.variables",
    }
    for model, field in columns:
        assert all(text.startswith("enc:v1:new:") for text in stored(model, field.column)), model
    assert Message.objects.get().text == "Your code is 123456"
    assert Schedule.objects.get().text == "Hi {name}"
    assert ScheduleRecipient.objects.get().variables == {"name": "Ada"}


def test_a_text_stored_by_copy_is_encrypted_once(use_keys) -> None:
    use_keys(NEW)
    prototype = MessageFactory.build(owner=UserFactory(), queue=MessageFactory().queue)

    bulk_insert.store(prototype, [Variant("+14155550109", "Hello", "gsm7", 1)], source=Source.SCHEDULE)

    assert Message.objects.get(to_number="+14155550109").text == "Hello"
    assert all(text.startswith("enc:v1:new:") for text in stored(Message, "text"))


def test_the_longest_text_in_the_widest_characters_fits_when_encrypted(use_keys) -> None:
    use_keys(NEW)

    MessageFactory(inbound=True, text="\N{GRINNING FACE}" * 1600)

    assert Message.objects.get().text == "\N{GRINNING FACE}" * 1600


def test_an_interrupted_rotation_continues_where_it_stopped(use_keys, monkeypatch) -> None:
    monkeypatch.setattr(key_rotation, "BATCH", 2)
    MessageFactory(text="text 0")
    use_keys(OLD)
    for number in range(1, 7):
        MessageFactory(text=f"text {number}")
    use_keys(NEW, OLD)
    seen: list[int] = []

    def stop(total: int) -> None:
        seen.append(total)
        raise Stopped

    field = Message._meta.get_field("text")
    for _ in range(2):
        with pytest.raises(Stopped):
            key_rotation.rotate(Message, field, after_batch=stop)

    assert key_rotation.rotate(Message, field) == 3
    assert seen == [2, 2]
    use_keys(NEW)
    assert sorted(Message.objects.values_list("text", flat=True)) == [f"text {number}" for number in range(7)]
    assert key_rotation.rotate(Message, field) == 0


def test_the_command_reports_rows_and_decrypts_without_keys(use_keys, capsys) -> None:
    use_keys(NEW)
    MessageFactory(text="Hello")
    due_run(UserFactory(), recipient_list(("+14155550101", {"name": "Ada"})), text="Hi {name}")
    use_keys()

    with pytest.raises(CommandError, match="has no key 'new'"):
        call_command("rotate_encryption")
    use_keys(OLD, NEW)
    call_command("rotate_encryption")

    assert "messaging.Message.text: 1 rows" in capsys.readouterr().out
    assert all(text.startswith("enc:v1:old:") for text in stored(ScheduleRecipient, "variables"))
    assert ScheduleRecipient.objects.get().variables == {"name": "Ada"}


def test_a_row_that_cannot_be_decrypted_does_not_stop_the_others(use_keys, monkeypatch) -> None:
    monkeypatch.setattr(key_rotation, "BATCH", 2)
    use_keys(OLD)
    lost, *others = (MessageFactory(text=f"text {number}") for number in range(4))
    lose_the_key(lost)
    use_keys(NEW, OLD)

    with pytest.raises(CommandError, match=r"messaging\.Message\.text: .* has no key 'lost'"):
        call_command("rotate_encryption")

    use_keys(NEW)
    rows = Message.objects.filter(pk__in=[other.pk for other in others])
    assert sorted(rows.values_list("text", flat=True)) == ["text 1", "text 2", "text 3"]
    assert "enc:v1:lost:gAAAAA" in stored(Message, "text")


def test_search_by_number_works_after_a_rotation(use_keys) -> None:
    use_keys(NEW)
    message = MessageFactory(to_number="+14155550177")

    assert Message.objects.get(to_number__startswith="+1415555017") == message
