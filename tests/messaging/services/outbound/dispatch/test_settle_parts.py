"""Results of long texts whose provider gives each part an id."""

from dataclasses import replace

import pytest

from messaging.models import AttemptPart, Message
from messaging.services.outbound import receipts, recovery
from messaging.services.outbound.dispatch.record_results import record_results
from messaging.services.outbound.dispatch.result_cache import CachedResult, get, put
from providers.contract.callbacks import ReportedStatus, StatusReport
from tests.factories import MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, result_of
from tests.messaging.services.outbound.dispatch.test_settle import settle, start

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]


@pytest.fixture
def result(account, now):
    """Two parts, `p1` and `p2`, are accepted."""
    MessageFactory(segments=2)
    [call] = start(now)
    return replace(result_of(call, "p1"), part_ids=("p1", "p2"))


def part_ids() -> list[str]:
    return list(AttemptPart.objects.order_by("pk").values_list("provider_message_id", flat=True))


def test_the_parts_of_a_result_are_saved_once(result, now) -> None:
    for _ in range(2):
        settle([result], now)

        assert part_ids() == ["p1", "p2"]
    assert Message.objects.get().provider_message_id == "p1"


def test_the_parts_of_a_worker_that_died_are_saved(result, now) -> None:
    record_results([result], now=now)

    assert recovery.return_expired_claims(now=now + LEASE) == 1

    assert part_ids() == ["p1", "p2"]


@pytest.mark.parametrize("order", [("p1", "p2"), ("p2", "p1")])
def test_receipts_before_the_response_are_those_of_its_parts(account, result, now, order: tuple[str, str]) -> None:
    for pmid in order:
        report = StatusReport(pmid, ReportedStatus.DELIVERED, "ok")
        states = receipts.ingest([report], account=account, body=pmid.encode(), attempt_id=None, now=now)
        assert states == ["unmatched"]

    settle([result], now)

    assert Message.objects.get().status == "delivered"


def test_the_cache_keeps_the_ids_of_parts(result, now) -> None:
    attempt_id = result.attempt.attempt_id
    for part_ids in [(), ("id with spaces", "p2")]:
        cached = CachedResult("id with spaces", now, 7, part_ids)
        put({attempt_id: cached})

        assert get([attempt_id]).accepted == {attempt_id: cached}
