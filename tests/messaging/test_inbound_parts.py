"""Long replies in parts over HTTP: from the callback of each part to one message."""

import hashlib
import hmac
import itertools
import json
from datetime import timedelta
from urllib.parse import quote, urlencode

import pytest
from django.test import Client
from django.utils import timezone

from messaging.models import Message, ProviderCallback, Suppression
from messaging.services.inbound import late_parts
from messaging.services.inbound.receive import InboundLimits
from providers import callback_tokens, presets, registry
from tests.factories import AccountFactory
from tests.messaging.api.conftest import HANDLER

pytestmark = pytest.mark.django_db
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
LIMITS = InboundLimits(1_600, 100, timedelta(seconds=60), timedelta(seconds=2))
PERSON, OTHER, OURS, SECRET = "14155550101", "14155550102", "15005550006", "made-up-secret"


def client() -> Client:
    made = Client()
    made.handler = HANDLER
    return made


def texts() -> list[str]:
    return list(Message.objects.order_by("pk").values_list("text", flat=True))


def store_late_parts() -> int:
    return late_parts.store_due(limits=LIMITS, now=timezone.now() + timedelta(minutes=6))


class Vonage:
    """Calls as Vonage does: by GET, POST or POST-JSON, with a signature or, without signed webhooks, the token."""

    def __init__(self, method: str, *, is_signed: bool = True) -> None:
        config = presets.load("vonage").config | ({} if is_signed else {"callback_auth": "token"})
        AccountFactory(slug="vonage", backend="generic_http", config=config)
        self.method = method
        token = callback_tokens.make(slug="vonage", attempt_id="", keys=registry.callback_keys())
        self.path = f"/webhooks/vonage/inbound/?{'' if is_signed else urlencode({'token': token}) + '&'}"

    def bring(self, number: int, count: int, text: str, *, sender: str = PERSON, message_id: str = "") -> None:
        fields = {
            "msisdn": sender, "to": OURS, "messageId": message_id or f"{sender}-{number}", "text": text, "type": "unicode",
            "keyword": text.upper()[:5], "message-timestamp": "2026-11-30 12:00:00", "timestamp": "1796040000", "nonce": "n1",
            "concat": "true", "concat-ref": "42", "concat-total": str(count), "concat-part": str(number),
        }  # fmt: skip
        pairs = [f"&{name}={fields[name].replace('&', '_').replace('=', '_')}" for name in sorted(fields)]
        signed = "".join(pairs).encode("utf-8", "surrogatepass")
        fields["sig"] = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        encoded = urlencode(fields, errors="surrogatepass")
        path = self.path.rstrip("?&")
        if self.method == "GET":
            response = client().get(f"{self.path}{encoded}")
        elif self.method == "JSON":
            response = client().post(path, json.dumps(fields), content_type=JSON)
        else:
            response = client().post(path, encoded, content_type=FORM)
        assert response.status_code == 200, response.content


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VONAGE_API_KEY", "VONAGE_API_SECRET", "VONAGE_SIGNATURE_SECRET"):
        monkeypatch.setenv(name, SECRET)


@pytest.fixture(params=["GET", "POST", "JSON"])
def vonage(request: pytest.FixtureRequest) -> Vonage:
    return Vonage(request.param)


@pytest.fixture(params=["GET", "POST", "JSON"])
def unsigned(request: pytest.FixtureRequest) -> Vonage:
    """What is signed where a field has half a character is not known."""
    return Vonage(request.param, is_signed=False)


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_parts_in_any_order_and_twice_are_one_text(vonage: Vonage, order: tuple[int, ...]) -> None:
    words = {1: "Grüße ", 2: "& = + % ", 3: "😀"}

    for number in order:
        for _ in range(2):
            vonage.bring(number, 3, words[number])

    message = Message.objects.get()
    assert (message.text, message.from_number, message.to_number, message.error_code) == (
        "Grüße & = + % 😀", f"+{PERSON}", f"+{OURS}", "",
    )  # fmt: skip


def test_a_part_that_does_not_come_is_a_gap(vonage: Vonage) -> None:
    vonage.bring(1, 3, "one")
    vonage.bring(3, 3, "three")
    assert texts() == []

    assert store_late_parts() == 1

    message = Message.objects.get()
    assert (message.text, message.error_code) == ("one … three", "parts_missing")


def test_the_parts_of_two_people_are_two_texts(vonage: Vonage) -> None:
    vonage.bring(1, 2, "A1")
    vonage.bring(1, 2, "B1", sender=OTHER)
    vonage.bring(2, 2, "B2", sender=OTHER)
    vonage.bring(2, 2, "A2")

    assert texts() == ["B1B2", "A1A2"]


@pytest.mark.parametrize("emoji", ["😀", "💀", "🏿"])
def test_halves_of_a_character_in_two_parts_are_one_character(unsigned: Vonage, emoji: str) -> None:
    octets = emoji.encode("utf-16-be")
    high, low = (octets[at : at + 2].decode("utf-16-be", "surrogatepass") for at in (0, 2))

    unsigned.bring(2, 3, f"{low}b{high}")
    unsigned.bring(1, 3, f"a{high}")
    unsigned.bring(3, 3, low)

    assert texts() == [f"a{emoji}b{emoji}"]


def test_half_a_character_without_the_other_half_is_replaced(unsigned: Vonage) -> None:
    unsigned.bring(1, 2, "a\ud83d")

    assert store_late_parts() == 1

    assert texts() == ["a\ufffd …"]


def test_a_stop_in_parts_takes_effect(vonage: Vonage) -> None:
    vonage.bring(2, 2, "OP")
    assert not Suppression.objects.exists()

    vonage.bring(1, 2, "ST")

    assert texts() == ["STOP"]
    assert Suppression.objects.get().number == f"+{PERSON}"


class Gateway:
    """A gateway that hands over the user data header."""

    def __init__(self, **inbound: object) -> None:
        config = {"url": "http://127.0.0.1:9/", "inbound": {"part": {"udh": "udh"}, **inbound}}
        self.account = AccountFactory(slug="acme", config=config)

    def bring(self, udh: object, fields: str, *, status: int = 200) -> None:
        token = callback_tokens.make(slug="acme", attempt_id="", keys=registry.callback_keys())
        path = f"/webhooks/acme/inbound/?{urlencode({'token': token})}"
        body = f"from=%2B{PERSON}&to=%2B{OURS}&{fields}" + (f"&udh={udh}" if udh is not None else "")
        assert client().post(path, body, content_type=FORM).status_code == status


def test_the_header_of_a_part_is_read() -> None:
    gateway = Gateway()
    gateway.bring("050003CC0202", "message=world&id=2")
    gateway.bring("060804F42E0202", "message=B&id=4")
    gateway.bring("050003cc0201", "message=Hello+&id=1")
    gateway.bring("06 08 04 F4 2E 02 01", "message=A&id=3")

    assert texts() == ["Hello world", "AB"]


@pytest.mark.parametrize("udh", [None, "", "0", "zz", "050003CC0203", "050003CC0101", "0605040B8423F0"])
def test_a_header_that_names_no_part_is_none(udh: str | None) -> None:
    Gateway().bring(udh, "message=Hello&id=1")

    assert texts() == ["Hello"]


def test_octets_of_parts_are_joined_before_they_are_decoded() -> None:
    gateway = Gateway(
        octets={"path": "raw", "as": "percent", "charset": "coding", "charsets": {"8": "utf-16-be", "0": "gsm"}}
    )
    octets, escaped = "a😀b".encode("utf-16-be"), b"5 \x1be"

    gateway.bring("050003010201", f"id=1&coding=8&raw={quote(quote(octets[:4]))}")
    gateway.bring("050003010202", f"id=2&coding=8&raw={quote(quote(octets[4:]))}")
    gateway.bring("050003020201", f"id=3&coding=0&raw={quote(quote(escaped[:3]))}")
    gateway.bring("050003020202", f"id=4&coding=0&raw={quote(quote(escaped[3:]))}")

    assert texts() == ["a😀b", "5 €"]


def test_half_a_character_in_a_text_that_is_no_part_is_still_malformed() -> None:
    Gateway().bring(None, "message=a%ED%A0%BD&id=1", status=400)

    assert texts() == []
    assert ProviderCallback.objects.get().state == "malformed"
