"""Responses that may follow an acceptance, over real HTTP: the message is `unknown`, and no other account is called."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from messaging.models import DeliveryAttempt, Message
from tests.contract.fake_carrier import FakeCarrier, answer
from tests.factories import AccountFactory, MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import dispatcher

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]


@pytest.fixture
def carriers() -> Iterator[list[FakeCarrier]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(FakeCarrier())) for _ in range(2)]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        *((status, b"<html>", "outcome_unknown") for status in (502, 504, 520, 524)),
        (200, b"ERROR:14", "no_message_id"),
        (200, b'{"success": false}', "no_message_id"),
        (201, b'{"statusCode": 403, "message_id": "None"}', "no_message_id"),
    ],
)
def test_no_other_account_is_called(carriers: list[FakeCarrier], status: int, body: bytes, code: str) -> None:
    for carrier in carriers:
        carrier.play = answer(status, body)
        AccountFactory(config={"url": carrier.url})
    message = MessageFactory()

    dispatcher(None).run("express")

    message.refresh_from_db()
    assert (message.status, message.error_code, message.attempts) == ("unknown", code, 1)
    assert sum(len(carrier.received) for carrier in carriers) == 1
    assert DeliveryAttempt.objects.get().outcome == "unknown"


def test_a_500_goes_to_the_next_account(carriers: list[FakeCarrier]) -> None:
    for carrier, reply in zip(carriers, (answer(500, b""), answer(200, {"message_id": "m-1"})), strict=True):
        carrier.play = reply
    AccountFactory(slug="first", weight=1000, config={"url": carriers[0].url})
    AccountFactory(slug="second", weight=1, config={"url": carriers[1].url})
    MessageFactory.create_batch(3)

    dispatcher(None).run("express")

    assert set(Message.objects.values_list("status", flat=True)) == {"sent"}
    assert len(carriers[1].received) == 3
