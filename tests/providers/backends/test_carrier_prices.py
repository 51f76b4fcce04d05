"""Where each backend finds the carrier's own price."""

import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from types import SimpleNamespace

import pytest

from providers.backends import aws_codes, twilio
from providers.backends.callback_mapping import StatusMapping, read_reports
from providers.contract.callbacks import CallbackRequest
from providers.contract.prices import CarrierPrice
from tests.contract.fake_carrier import FakeCarrier, answer
from tests.providers.backends.test_generic_http import send

IN_EURO = CarrierPrice(Decimal("0.0666"), "EUR")


@pytest.fixture
def carrier() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as carrier:
        yield carrier


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ({"price": "messages.*.price"}, CarrierPrice(Decimal("0.0666"))),
        ({"price": "messages.*.price", "currency": "messages.0.currency"}, IN_EURO),
        ({"price": "messages.*.price", "currency": "nothing"}, CarrierPrice(Decimal("0.0666"))),
        ({"price": "messages.*.price", "currency": "messages"}, None),
        ({"price": "messages.*.id"}, None),
        ({"price": "nothing"}, None),
        (None, None),
    ],
)
def test_an_answer_by_configured_paths(carrier: FakeCarrier, paths, expected) -> None:
    part = {"price": "0.0333", "currency": "EUR"}
    carrier.play = answer(200, {"messages": [{"id": "a", **part}, {"id": "b", **part}]})

    accepted = send(carrier, message_id="messages.*.id", answer_price=paths)

    assert (accepted.part_ids, accepted.price) == (("a", "b"), expected)


@pytest.mark.parametrize(
    ("price", "currency", "expected"),
    [
        ("0.0666", "eur", IN_EURO),
        (0.0666, "EUR", IN_EURO),
        ("-0.0666", "EUR", None),
        ({"amount": "1"}, "EUR", None),
        ("0.0666", ["EUR"], None),
        ("free", "EUR", None),
    ],
)
def test_a_receipt_by_configured_paths(price, currency, expected) -> None:
    body = json.dumps({"message_id": "a", "status": "delivered", "cost": {"price": price, "currency": currency}})
    request = CallbackRequest("https://x.example/", {"content-type": "application/json"}, body.encode())
    mapping = StatusMapping(price="cost.price", currency="cost.currency")

    [report] = read_reports(request, mapping, is_named=False)

    assert (report.status, report.price) == ("delivered", expected)


@pytest.mark.parametrize(("price", "expected"), [("-0.06660", IN_EURO), (None, None), ("0.06660", None)])
def test_a_message_that_is_looked_up_at_twilio(price, expected) -> None:
    found = SimpleNamespace(sid="SM1", status="sent", error_code=None, price=price, price_unit="EUR")

    assert twilio._report_of(found).price == expected


@pytest.mark.parametrize(("price", "expected"), [(0.0666, CarrierPrice(Decimal("0.0666"))), ("x", None), (None, None)])
def test_an_event_of_aws(price, expected) -> None:
    event = {"messageId": "m", "eventType": "TEXT_DELIVERED", "totalMessagePrice": price}

    assert aws_codes.report(json.dumps(event)).price == expected
