"""Texts and rows are deleted when their retention period ends, and not before."""

import itertools
from datetime import timedelta
from uuid import UUID

import pytest

from media_store.models import MediaAsset, MediaOwnership
from messaging.models import Attachment, Message, MessageEvent, ProviderCallback, RetentionPass, RetentionRule
from messaging.services.privacy import retention
from tests.factories import NOW, CallbackFactory, EventFactory, MessageFactory, QueueFactory, UserFactory

pytestmark = pytest.mark.django_db
_numbers = itertools.count(1)


def aged(days: float, **values) -> Message:
    created = NOW - timedelta(days=days)
    key = UUID(int=(int(created.timestamp() * 1000) << 80) | (0x7 << 76) | (0x2 << 62) | next(_numbers))
    trait = {"delivered": True} if "status" not in values else {}
    return MessageFactory(id=key, created_at=created, **trait, **values)


def walk(at=NOW) -> int:
    return retention.walk(now=at, chunks=100)


def test_without_rules_nothing_is_deleted() -> None:
    aged(3000)

    assert walk() == 0
    assert Message.objects.get().text == "Your code is 123456"
    assert not RetentionPass.objects.exists()


def test_texts_are_erased_first_and_rows_deleted_later(settings) -> None:
    settings.RETENTION_TEXT_DAYS, settings.RETENTION_ROW_DAYS = 30, 365
    young, old, ancient = aged(29), aged(31), aged(366)
    EventFactory(message=ancient)
    CallbackFactory(message=old)

    assert walk() == 2

    assert not Message.objects.filter(pk=ancient.pk).exists()
    assert not MessageEvent.objects.exists()
    assert not ProviderCallback.objects.exists()
    old.refresh_from_db()
    assert (old.text, old.erased_at, old.to_number != "") == ("", NOW, True)
    young.refresh_from_db()
    assert (young.text, young.erased_at) == ("Your code is 123456", None)


@pytest.mark.parametrize("status", ["scheduled", "queued"])
def test_a_message_that_has_not_ended_stays(settings, status: str) -> None:
    settings.RETENTION_TEXT_DAYS = settings.RETENTION_ROW_DAYS = 1
    message = aged(300, status=status)

    assert walk() == 0
    message.refresh_from_db()
    assert message.text == "Your code is 123456"


def test_the_most_specific_rule_applies(settings) -> None:
    settings.RETENTION_TEXT_DAYS = 30
    specific, other = UserFactory(), UserFactory()
    queue = QueueFactory(name="codes")
    RetentionRule.objects.create(queue=queue, text_days=1)
    RetentionRule.objects.create(owner=specific, text_days=100)
    RetentionRule.objects.create(owner=specific, queue=queue, text_days=5)
    kept = [
        aged(2, owner=specific, queue=queue),
        aged(99, owner=specific),
        aged(29, owner=other),
        aged(0.5, owner=other, queue=queue),
    ]
    erased = [
        aged(6, owner=specific, queue=queue),
        aged(101, owner=specific),
        aged(31, owner=other),
        aged(2, owner=other, queue=queue),
    ]

    assert walk() == 4

    assert set(Message.objects.filter(erased_at=NOW)) == set(erased)
    assert set(Message.objects.filter(erased_at=None)) == set(kept)


def test_a_pass_continues_after_a_stop_and_starts_again_the_next_day(settings, monkeypatch) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    settings.RETENTION_TEXT_DAYS = 30
    for days in (40, 39, 38, 37, 30.5):
        aged(days)
    late = aged(29.9)

    assert [retention.step(now=NOW) for _ in range(4)] == [2, 2, 1, None]
    assert walk(NOW + timedelta(hours=1)) == 0
    assert walk(NOW + timedelta(days=1)) == 1
    late.refresh_from_db()
    assert late.text == ""


def test_an_image_of_another_owner_stays(settings) -> None:
    settings.RETENTION_TEXT_DAYS = 30
    sender, other = UserFactory(), UserFactory()
    asset = MediaAsset.objects.create(
        sha256="a" * 64, content_type="image/png", size=1, width=1, height=1, created_at=NOW
    )
    for owner in (sender, other):
        MediaOwnership.objects.create(asset=asset, owner=owner)
    message = aged(40, owner=sender, media_count=1)
    Attachment.objects.create(message=message, position=0, asset=asset)

    assert walk() == 1

    assert not Attachment.objects.exists()
    assert [ownership.owner for ownership in MediaOwnership.objects.all()] == [other]
    assert MediaAsset.objects.get() == asset
