"""Receipts for clients of Kannel's and Jasmin's HTTP interfaces, as those send them.

The expected requests were recorded from Kannel 1.4.5 and Jasmin 0.11.0 (0.11.1 sends none).
"""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest

from messaging.models import Message, WebhookDelivery
from messaging.services.webhooks.deliverer import Deliverer
from providers.http.public_addresses import Guard
from providers.http.public_http import PublicHttp
from providers.http.transport import HttpResponse
from tests.factories import NOW, AccountFactory, ClientEventFactory, MessageFactory
from tests.messaging.services.webhooks.conftest import AtOnceExecutor, Clock, Receiver

pytestmark = pytest.mark.django_db

URL = "https://client.example.com/dlr"

LEVEL_2 = (
    "level=2&message_status={}&connector={}&id_smsc={}&sub=001&dlvrd={}"
    "&subdate=2611220900&donedate=2611220905&err={}&text="
)


def answering(body: bytes, status: int = 200) -> Callable[[str], HttpResponse]:
    return lambda _url: HttpResponse(status, {"content-type": "text/plain"}, body)


def tell(dialect: str, event: str, url: str = URL, **values: object) -> Message:
    """A message to which this has happened; one of an unknown carrier unless `provider` is given."""
    status = event.partition(".")[2]
    snapshot = {"status": status, "sent_at": NOW.isoformat(), **values}
    message = MessageFactory(
        sent=True,
        to_number="+447911110001",
        callback_url=url,
        callback_dialect=dialect,
        **({"provider": AccountFactory(slug=str(values["provider_id"]))} if "provider_id" in values else {}),
    )
    ClientEventFactory(message=message, type=event, at=NOW + timedelta(minutes=5), snapshot=snapshot)
    return message


PRIVATE, TOO_LONG = "this is not a public address", "an address has at most 2048 characters"


@pytest.mark.parametrize(
    ("dialect", "url", "reason"),
    [
        *(
            (dialect, URL, PRIVATE) for dialect in ("kannel:31:", "jasmin:2:POST", "jasmin:2:GET")
        ),  # the name leads elsewhere
        ("kannel:31:", "https://10.1.2.3/?s=%d", PRIVATE),
        ("jasmin:2:GET", "https://10.1.2.3/", PRIVATE),
        ("kannel:31:", f"{URL}?s={'%A' * 200}", TOO_LONG),
    ],
)
def test_an_address_is_checked_at_the_call_too(clock: Clock, dialect: str, url: str, reason: str) -> None:
    resolved: list[str] = []
    http = PublicHttp(Guard(), resolve=lambda host, _port: resolved.append(host) or ["127.0.0.1"])
    tell(dialect, "message.delivered", url)

    Deliverer(http, clock=clock, executor_factory=AtOnceExecutor, position=lambda: 0.5).run()

    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.error) == ("pending", f"Not delivered: {reason}.")
    assert set(resolved) <= {"client.example.com"}


CARRIER = {"provider_id": "carrier", "provider_message_id": "a1b2c3"}
RECEIPT = "id:a1b2c3 sub:001 dlvrd:{} submit date:2611220900 done date:2611220905 stat:{} err:{} text:"


class TestKannel:
    ALL = "&".join(f"{letter}=%{letter}" for letter in "dAabkrsSFIiPQpqtT")

    @pytest.mark.parametrize(
        ("event", "values", "kind", "text"),
        [
            ("message.sent", CARRIER, "8", "ACK/"),
            ("message.delivered", CARRIER, "1", RECEIPT.format("001", "DELIVRD", "000")),
            ("message.undelivered", CARRIER, "2", RECEIPT.format("000", "UNDELIV", "255")),
            ("message.unknown", CARRIER, "4", RECEIPT.format("000", "UNKNOWN", "000")),
            (
                "message.failed",
                {"error_code": "recipient_invalid"},
                "16",
                "NACK/0x0000000b/Invalid Destination Address",
            ),
            ("message.failed", {"error_code": "expired"}, "16", "NACK/0x00000045/Submit failed"),
            ("message.canceled", {}, "16", "NACK/0x00000045/Submit failed"),
        ],
    )
    def test_a_report(
        self, deliverer: Deliverer, receiver: Receiver, *, event: str, values: dict, kind: str, text: str
    ) -> None:
        message = tell("kannel:31:", event, f"{URL}?{self.ALL}", **values)

        deliverer.run()

        [call] = receiver.calls
        words = text.split()
        assert (call.method, call.body) == ("GET", b"")
        assert dict(parse_qsl(call.url.partition("?")[2], keep_blank_values=True)) == {
            "d": kind,
            "A": text,
            "a": text,
            "b": text,
            "k": words[0],
            "s": words[1] if words[1:] else "",
            "S": words[2] if words[2:] else "",
            "r": " ".join(words[1:]),
            "F": values.get("provider_message_id", ""),
            "I": str(message.pk),
            "i": values.get("provider_id", ""),
            "P": "",
            "Q": "",
            "p": "447911110001",
            "q": "447911110001",
            "t": "2026-11-22 09:05:00",
            "T": "1795338300",
        }
        assert WebhookDelivery.objects.get().state == "succeeded"

    @pytest.mark.parametrize(
        ("prefix", "numbers"),
        [
            ("", ("447911110001", "447911110001")),
            ("+", ("%2B447911110001",) * 2),
            ("00", ("00447911110001", "%2B447911110001")),
        ],
    )
    def test_the_number_is_written_as_the_client_wrote_it(
        self, deliverer: Deliverer, receiver: Receiver, prefix: str, numbers: tuple[str, str]
    ) -> None:
        tell(f"kannel:31:{prefix}", "message.sent", f"{URL}?p=%p&q=%q&P=%P", from_number="+15005550006")

        deliverer.run()

        assert [call.url for call in receiver.calls] == [f"{URL}?p={numbers[0]}&q={numbers[1]}&P=%2B15005550006"]

    @pytest.mark.parametrize(
        ("mask", "kinds"), [(1, "1"), (2, "2"), (4, "4"), (8, "8"), (16, "16"), (27, "8 1 2 16"), (64, "")]
    )
    def test_only_what_the_mask_asks_for(self, deliverer: Deliverer, receiver: Receiver, mask: int, kinds: str) -> None:
        for event in ("sent", "delivered", "undelivered", "failed", "unknown"):
            tell(f"kannel:{mask}:", f"message.{event}", f"{URL}?%d")

        deliverer.run()

        assert {call.url.partition("?")[2] for call in receiver.calls} == set(kinds.split())

    @pytest.mark.parametrize("provider_message_id", ["é", "a\nb", "x" * 128])
    def test_any_id_of_a_carrier_is_told(
        self, deliverer: Deliverer, receiver: Receiver, provider_message_id: str
    ) -> None:
        tell("kannel:1:", "message.delivered", f"{URL}?F=%F&A=%A", provider_message_id=provider_message_id)

        deliverer.run()

        [call] = receiver.calls
        assert dict(parse_qsl(call.url.partition("?")[2]))["F"] == provider_message_id


class TestJasmin:
    @pytest.mark.parametrize(
        ("level", "event", "values", "parameters"),
        [
            (1, "message.sent", CARRIER, "level=1&message_status=ESME_ROK&connector=carrier"),
            (3, "message.sent", CARRIER, "level=1&message_status=ESME_ROK&connector=carrier"),
            (
                3,
                "message.failed",
                {"provider_id": "carrier", "error_code": "recipient_invalid"},
                "level=1&message_status=ESME_RINVDSTADR&connector=carrier",
            ),
            (1, "message.failed", {"error_code": "no_route"}, "level=1&message_status=ESME_RSUBMITFAIL&connector="),
            (
                2,
                "message.delivered",
                CARRIER,
                LEVEL_2.format("DELIVRD", "carrier", "a1b2c3", "001", "000"),
            ),
            (
                3,
                "message.undelivered",
                CARRIER,
                LEVEL_2.format("UNDELIV", "carrier", "a1b2c3", "000", "255"),
            ),
            (
                2,
                "message.failed",
                {"error_code": "expired"},
                LEVEL_2.format("EXPIRED", "", "", "000", "000"),
            ),
            (
                2,
                "message.unknown",
                {},
                LEVEL_2.format("UNKNOWN", "", "", "000", "000"),
            ),
        ],
    )
    def test_a_receipt(
        self, deliverer: Deliverer, receiver: Receiver, *, level: int, event: str, values: dict, parameters: str
    ) -> None:
        receiver.reply = answering(b"ACK/Jasmin\n")
        posted = tell(f"jasmin:{level}:POST", event, f"{URL}?x=1", **values)
        got = tell(f"jasmin:{level}:GET", event, f"{URL}?x=1", **{**values, "provider_id": ""}) if not values else None

        deliverer.run()

        calls = {call.method: call for call in receiver.calls}
        assert calls["POST"].url == f"{URL}?x=1"
        assert calls["POST"].body.decode() == f"id={posted.pk}&{parameters}"
        assert calls["POST"].headers["Content-Type"] == "application/x-www-form-urlencoded"
        if got is not None:
            assert (calls["GET"].url, calls["GET"].body) == (f"{URL}?x=1&id={got.pk}&{parameters}", b"")
        assert {row.state for row in WebhookDelivery.objects.all()} == {"succeeded"}

    def test_a_get_without_a_query(self, deliverer: Deliverer, receiver: Receiver) -> None:
        receiver.reply = answering(b"ACK/Jasmin")
        message = tell("jasmin:1:GET", "message.sent", f"{URL}#top")

        deliverer.run()

        [call] = receiver.calls
        assert call.url == f"{URL}?id={message.pk}&level=1&message_status=ESME_ROK&connector="

    @pytest.mark.parametrize(
        ("level", "events"),
        [
            (1, {"sent", "failed", "canceled"}),
            (2, {"delivered", "undelivered", "failed", "canceled", "unknown"}),
            (3, {"sent", "delivered", "undelivered", "failed", "canceled", "unknown"}),
        ],
    )
    def test_only_what_the_level_asks_for(
        self, deliverer: Deliverer, receiver: Receiver, level: int, events: set[str]
    ) -> None:
        receiver.reply = answering(b"ACK/Jasmin")
        told = {
            str(tell(f"jasmin:{level}:POST", f"message.{event}").pk): event
            for event in ("sent", "delivered", "undelivered", "failed", "canceled", "unknown")
        }

        deliverer.run()

        assert {told[dict(parse_qsl(call.body.decode()))["id"]] for call in receiver.calls} == events

    @pytest.mark.parametrize(
        "reply",
        [
            answering(b""),
            answering(b"OK"),
            answering(b"ACK/Jasmin", 302),
            answering(b"ACK/Jasmin", 500),
            answering(b"ACK/Jasmin."),
        ],
    )
    def test_without_its_confirmation_the_call_is_repeated(
        self, deliverer: Deliverer, receiver: Receiver, clock, reply
    ) -> None:
        receiver.reply = reply
        tell("jasmin:2:POST", "message.delivered")
        deliverer.run()
        assert WebhookDelivery.objects.get().state == "pending"

        receiver.reply = answering(b" ACK/Jasmin ")
        clock.forward(hours=1)
        deliverer.run()

        assert len(receiver.calls) == 2
        assert WebhookDelivery.objects.get().state == "succeeded"
