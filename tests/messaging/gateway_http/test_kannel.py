"""`sendsms` answers as Kannel 1.4.5 does: statuses and words were recorded from it.

docs/coming-from-kannel.md has the differences.
"""

import tracemalloc
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.models import GatewayCredential, Message, PhoneNumber, VelocityLimit
from messaging.services.costs import budget_changes
from messaging.services.limits import rules
from messaging.services.outbound import bulk_insert
from messaging.states import Status
from tests.factories import NOW, PhoneNumberFactory
from tests.messaging.gateway_http.conftest import LOGIN, OTHER_SENDER, RECEIVER, SENDER, GatewayClient, stored

pytestmark = pytest.mark.django_db

TO = "447911110001"
SMS = {**LOGIN, "to": TO, "text": "Hello"}
ACCEPTED = (202, b"0: Accepted for delivery")
DENIED = (400, b"Number(s) has/have been denied by white- and/or black-lists.")
UNAUTHORIZED = (403, b"Authorization failed for sendsms")


@pytest.fixture
def kannel(credential: GatewayCredential, settings: Any) -> GatewayClient:
    settings.ENABLE_KANNEL_API = True
    return GatewayClient("/cgi-bin/sendsms")


def answer(response: HttpResponse) -> tuple[int, bytes]:
    return response.status_code, response.content


def test_off_it_does_not_exist(credential: GatewayCredential) -> None:
    client = GatewayClient("/cgi-bin/sendsms")

    assert client.get(SMS).status_code == 404
    assert client.post(SMS).status_code == 404
    assert client._client.put(client.path).status_code == 404
    assert stored() == []


def test_a_text_is_a_message_of_the_user(kannel: GatewayClient, credential: GatewayCredential) -> None:
    response = kannel.get({**SMS, "from": OTHER_SENDER})

    assert answer(response) == ACCEPTED
    assert response.headers["Content-Type"] == "text/html"
    [message] = stored()
    assert (message.owner, message.status, message.queue_id) == (credential.user, "queued", "express")
    assert (message.from_number, message.to_number, message.text) == (OTHER_SENDER, f"+{TO}", "Hello")
    assert (message.callback_url, message.callback_dialect) == ("", "")


def test_other_methods(kannel: GatewayClient) -> None:
    for method in ("HEAD", "PUT", "DELETE"):
        assert kannel._client.generic(method, kannel._address("", SMS)).status_code == 405
    assert stored() == []


class TestAccess:
    @pytest.mark.parametrize(
        "change",
        [
            {"password": "wrong"},
            {"username": "nobody"},
            {"username": ""},
            {"password": ""},
            {"username": "shop\x00"},
            {"password": "é" * 100},
            {"username": "x" * 1000},
        ],
    )
    def test_wrong(self, kannel: GatewayClient, change: dict[str, str]) -> None:
        assert answer(kannel.get({**SMS, **change})) == UNAUTHORIZED
        assert stored() == []

    @pytest.mark.parametrize(
        "query",
        [
            f"to={TO}&text=x",
            f"USERNAME=shop&password=secret12&to={TO}&text=x",
            f"username=shop;password=secret12&to={TO}&text=x",
            f"username=%ff%fe&password=secret12&to={TO}&text=x",
            "",
        ],
    )
    def test_missing(self, kannel: GatewayClient, query: str) -> None:
        assert answer(kannel.get(query)) == UNAUTHORIZED

    def test_short_names(self, kannel: GatewayClient) -> None:
        assert answer(kannel.get({"user": "shop", "pass": "secret12", "to": TO, "text": "x"})) == ACCEPTED

    def test_an_address_that_is_not_allowed(self, kannel: GatewayClient, credential: GatewayCredential) -> None:
        credential.allowed_addresses = ["192.0.2.0/24"]
        credential.save()

        assert answer(kannel.get(SMS)) == UNAUTHORIZED
        assert answer(kannel.get(SMS, REMOTE_ADDR="192.0.2.9")) == ACCEPTED

    def test_a_guesser_is_shut_out(self, kannel: GatewayClient, settings: Any) -> None:
        settings.RATE_LIMIT_FAILED_LOGINS = "3/h"
        for _ in range(3):
            kannel.get({**SMS, "password": "wrong"})

        assert answer(kannel.get(SMS)) == UNAUTHORIZED
        assert answer(kannel.get(SMS, REMOTE_ADDR="192.0.2.9")) == ACCEPTED

    @pytest.mark.parametrize("change", ["revoked", "inactive"])
    def test_no_more(self, kannel: GatewayClient, credential: GatewayCredential, change: str) -> None:
        if change == "revoked":
            credential.revoked_at = timezone.now()
            credential.save()
        else:
            credential.user.is_active = False
            credential.user.save()

        assert answer(kannel.get(SMS)) == UNAUTHORIZED

    def test_the_limit_is_that_of_the_credential(self, kannel: GatewayClient, settings: Any) -> None:
        settings.RATE_LIMIT_PER_TOKEN = "2/h"
        answers = [answer(kannel.get(SMS)) for _ in range(3)]

        assert answers == [ACCEPTED, ACCEPTED, (503, b"Temporal failure, try again later.")]
        assert len(stored()) == 2

    def test_recipients_count(self, kannel: GatewayClient, settings: Any) -> None:
        settings.RATE_LIMIT_PER_TOKEN = "2/h"

        assert answer(kannel.get({**SMS, "to": f"{TO} 447911110002 447911110003"})) == ACCEPTED
        assert kannel.get(SMS).status_code == 503
        assert len(stored()) == 3


class TestRecipients:
    @pytest.mark.parametrize(
        ("to", "numbers"),
        [
            (f"+{TO}", [f"+{TO}"]),
            (f"00{TO}", [f"+{TO}"]),
            ("44-7911-110001", [f"+{TO}"]),
            ("447911110001 447911110002", ["+447911110001", "+447911110002"]),
            (f" {TO} +{TO}\n00{TO} ", [f"+{TO}"]),
            (f"abc {TO}", [f"+{TO}"]),
        ],
    )
    def test_numbers(self, kannel: GatewayClient, to: str, numbers: list[str]) -> None:
        assert answer(kannel.get({**SMS, "to": to})) == ACCEPTED
        assert [message.to_number for message in stored()] == numbers

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({**LOGIN, "text": "x"}, (400, b"Missing receiver number, rejected")),
            ({**SMS, "to": ""}, (400, b"Empty receiver number not allowed, rejected")),
            ({**SMS, "to": " "}, DENIED),
            ({**SMS, "to": "abc"}, DENIED),
            ({**SMS, "to": "07911110001"}, DENIED),
            ({**SMS, "to": f"{TO},447911110002"}, DENIED),
            ({**SMS, "to": "4" * 500}, DENIED),
            ({**SMS, "to": "\x00"}, DENIED),
            (
                {**SMS, "to": " ".join(f"4479111{index:05}" for index in range(101))},
                (400, b"More than 100 receivers, rejected"),
            ),
        ],
    )
    def test_no_number(self, kannel: GatewayClient, query: dict[str, str], expected: tuple[int, bytes]) -> None:
        assert answer(kannel.get(query)) == expected
        assert stored() == []

    def test_who_must_get_nothing_is_left_out(self, kannel: GatewayClient) -> None:
        PhoneNumberFactory(
            number=f"+{TO}", status=PhoneNumber.Status.INACTIVE, reason="unknown", changed_at=timezone.now()
        )

        assert answer(kannel.get({**SMS, "to": f"{TO} 447911110002"})) == ACCEPTED
        assert [message.to_number for message in stored()] == ["+447911110002"]
        assert answer(kannel.get(SMS)) == DENIED
        assert len(stored()) == 1

    def test_all_are_stored_or_none(self, kannel: GatewayClient, monkeypatch: pytest.MonkeyPatch) -> None:
        store = bulk_insert.store_messages

        def fail(*args: Any, **kwargs: Any) -> None:
            store(*args, **kwargs)
            raise OperationalError("the connection was lost")

        monkeypatch.setattr(bulk_insert, "store_messages", fail)

        response = kannel.get({**SMS, "to": f"{TO} 447911110002"})

        assert answer(response) == (503, b"Temporal failure, try again later.")
        assert stored() == []

    def test_the_number_of_queries_does_not_grow(self, kannel: GatewayClient) -> None:
        kannel.get(SMS)  # notes the use
        counts = []
        for first in (10, 20):
            numbers = " ".join(f"44791111{number:04}" for number in range(first, first + first // 5))
            with CaptureQueriesContext(connection) as queries:
                assert answer(kannel.get({**SMS, "to": numbers})) == ACCEPTED
            counts.append(len(queries))

        assert counts == [counts[0]] * 2


class TestSender:
    @pytest.mark.parametrize(
        ("sent", "number"),
        [("", SENDER), (SENDER, SENDER), (SENDER[1:], SENDER), (f"00{SENDER[1:]}", SENDER), ("2020", "2020")],
    )
    def test_numbers(self, kannel: GatewayClient, sent: str, number: str) -> None:
        assert answer(kannel.get({**SMS, "from": sent})) == ACCEPTED
        assert [message.from_number for message in stored()] == [number]

    @pytest.mark.parametrize("sent", ["Other", "+15005550007", "3030"])
    def test_not_ours(self, kannel: GatewayClient, sent: str) -> None:
        assert answer(kannel.get({**SMS, "from": sent})) == (400, b"Sender not allowed, rejected")

    @pytest.mark.parametrize("sent", ["A name that is long", "\x00", "+1"])
    def test_none(self, kannel: GatewayClient, sent: str) -> None:
        assert answer(kannel.get({**SMS, "from": sent})) == (400, b"Sender misformed, rejected")


BASE = f"username=shop&password=secret12&to={TO}"


class TestText:
    @pytest.mark.parametrize(
        ("query", "text"),
        [
            ("text=a+b%2Bc", "a b+c"),
            ("text=%D0%9F%D1%80%D0%B8%D0%B2%D0%B5%D1%82", "Привет"),
            ("text=%E9%A4&charset=ISO-8859-1", "é¤"),
            ("text=%80&charset=windows-1252", "€"),
            ("coding=2&text=%04%1F%04%40", "Пр"),
            ("coding=2&text=%D8%3D%DC%4B", "👋"),
            ("coding=2&charset=UTF-16BE&text=%04%1F", "П"),
            ("coding=2&charset=UTF-8&text=%D0%9F", "П"),
            ("coding=2&charset=UCS-2&text=%04%1F", "П"),
            ("charset=UTF-16&text=%FE%FF%04%1F", "П"),
            ("coding=0&text=%F0%9F%91%8B", "👋"),
            ("coding=x&text=Hi", "Hi"),
            ("coding=-1&text=Hi", "Hi"),
            ("text=Hi&text=Other", "Hi"),
            ("text=a%00b", "ab"),
            ("flag&text=Hi", "Hi"),
        ],
    )
    def test_charsets(self, kannel: GatewayClient, query: str, text: str) -> None:
        assert answer(kannel.get(f"{BASE}&{query}")) == ACCEPTED
        assert [message.text for message in stored()] == [text]

    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ("", "Text missing, rejected"),
            ("text=", "Text missing, rejected"),
            ("text=+", "Text missing, rejected"),
            ("text=%00", "Text missing, rejected"),
            ("text=%E9a", "Charset or body misformed, rejected"),
            ("text=Hi&charset=nonsense", "Charset or body misformed, rejected"),
            ("text=Hi&charset=zlib", "Charset or body misformed, rejected"),
            ("text=Hi&charset=unicode_escape", "Charset or body misformed, rejected"),
            ("text=Hi&charset=idna", "Charset or body misformed, rejected"),
            ("text=Hi&charset=punycode", "Charset or body misformed, rejected"),
            ("text=Hi&charset=%00", "Charset or body misformed, rejected"),
            ("text=Hi&charset=../../etc", "Charset or body misformed, rejected"),
            ("coding=2&text=abc", "Charset or body misformed, rejected"),
            ("coding=2&text=%D8%3D", "Charset or body misformed, rejected"),
            ("coding=1&text=Hi", "Binary messages are not supported, rejected"),
            ("udh=%05%00%03&text=Hi", "Binary messages are not supported, rejected"),
            ("coding=3&text=Hi", "Coding field misformed, rejected"),
            (f"text={'a' * 1600}", "Text too long, rejected"),
            (f"text={'a' * 5000}", "Text too long, rejected"),
        ],
    )
    def test_no_text(self, kannel: GatewayClient, query: str, words: str) -> None:
        assert answer(kannel.get(f"{BASE}&{query}")) == (400, words.encode())
        assert stored() == []


class TestOtherParameters:
    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("mclass", "9", "MClass"),
            ("mwi", "9", "MWI"),
            ("pid", "256", "PID"),
            ("rpi", "3", "RPI"),
            ("alt-dcs", "2", "Alt-DCS"),
            ("compress", "2", "Compress"),
            ("priority", "9", "Priority"),
            ("validity", "-5", "Validity"),
            ("validity", "0", "Validity"),
            ("deferred", "-5", "Deferred"),
            ("deferred", "99999999999", "Deferred"),
            ("dlr-url", "ftp://example.com/", "DLR-URL"),
            ("dlr-url", "x", "DLR-URL"),
        ],
    )
    def test_out_of_range(self, kannel: GatewayClient, name: str, value: str, words: str) -> None:
        assert answer(kannel.get({**SMS, name: value})) == (400, f"{words} field misformed, rejected".encode())
        assert stored() == []

    @pytest.mark.parametrize("account", ["x" * 65, "a[b", "a\nb"])
    def test_an_account_that_cannot_be(self, kannel: GatewayClient, account: str) -> None:
        expected = (400, b"Account field misformed or too long, rejected")
        assert answer(kannel.get({**SMS, "account": account})) == expected

    def test_what_has_no_effect(self, kannel: GatewayClient) -> None:
        values = {"mclass": 1, "mwi": 0, "pid": 0, "rpi": 0, "alt-dcs": 0, "compress": 0, "priority": 3}
        more = {"smsc": "a", "account": "b", "binfo": "c", "meta-data": "?smpp?a=b", "nonsense": "d"}

        assert answer(kannel.get({**SMS, **values, **more})) == ACCEPTED

    @pytest.mark.parametrize(
        ("values", "valid_for", "minutes"),
        [
            ({}, 14_400, 0),
            ({"validity": "60"}, 3_600, 0),
            ({"validity": "60x"}, 3_600, 0),
            ({"validity": "99999999999"}, 604_800, 0),
            ({"validity": "60", "deferred": "10"}, 3_000, 10),
            ({"deferred": "10"}, 14_400, 10),
            ({"deferred": "0"}, 14_400, 0),
            ({"deferred": "-1", "validity": "-1"}, 14_400, 0),
        ],
    )
    def test_times(self, kannel: GatewayClient, values: dict[str, str], valid_for: int, minutes: int) -> None:
        before = timezone.now()

        assert answer(kannel.get({**SMS, **values})) == ACCEPTED

        [message] = stored()
        assert message.valid_for == valid_for
        assert message.status == (Status.SCHEDULED if minutes else Status.QUEUED)
        if minutes:
            assert before <= message.send_at - timedelta(minutes=minutes) <= timezone.now()
        else:
            assert message.send_at is None

    def test_it_cannot_end_before_it_begins(self, kannel: GatewayClient) -> None:
        response = kannel.get({**SMS, "validity": "10", "deferred": "10"})

        assert answer(response) == (400, b"Validity field misformed, rejected")


class TestDlr:
    def told(self, kannel: GatewayClient, **values: str) -> Message:
        assert (
            answer(kannel.get({**SMS, **{name.replace("_", "-"): value for name, value in values.items()}})) == ACCEPTED
        )
        return Message.objects.latest("pk")

    def test_an_address_and_a_mask(self, kannel: GatewayClient) -> None:
        message = self.told(kannel, dlr_url=f"{RECEIVER}?s=%d", dlr_mask="31")

        assert (message.callback_url, message.callback_dialect) == (f"{RECEIVER}?s=%d", "kannel:31:")

    @pytest.mark.parametrize(
        ("to", "dialect"), [(f"+{TO}", "kannel:31:+"), (f"00{TO}", "kannel:31:00"), (TO, "kannel:31:")]
    )
    def test_how_the_number_was_written(self, kannel: GatewayClient, to: str, dialect: str) -> None:
        assert self.told(kannel, to=to, dlr_url=RECEIVER, dlr_mask="31").callback_dialect == dialect

    @pytest.mark.parametrize(
        ("mask", "dialect"),
        [("1", "kannel:1:"), ("64", ""), ("0", ""), ("-3", ""), ("x", ""), ("63", "kannel:31:"), ("95", "kannel:31:")],
    )
    def test_masks(self, kannel: GatewayClient, mask: str, dialect: str) -> None:
        message = self.told(kannel, dlr_url=RECEIVER, dlr_mask=mask)

        assert (message.callback_dialect, bool(message.callback_url)) == (dialect, bool(dialect))

    @pytest.mark.parametrize("values", [{"dlr_url": RECEIVER}, {"dlr_mask": "31"}])
    def test_one_without_the_other(self, kannel: GatewayClient, values: dict[str, str]) -> None:
        assert self.told(kannel, **values).callback_url == ""

    def test_old_names(self, kannel: GatewayClient) -> None:
        assert self.told(kannel, dlrurl=RECEIVER, dlrmask="3").callback_dialect == "kannel:3:"

    def test_what_is_known_is_filled_at_once(self, kannel: GatewayClient) -> None:
        letters = "".join(f"&{letter}=%{letter}" for letter in "oDBPQcCmMOfuvV")
        template = f"{RECEIVER}?n=%n{letters}&h=%#smpp#a#&d=%d&z=%z"

        message = self.told(
            kannel,
            dlr_url=template,
            dlr_mask="31",
            account="a b%d&c=1",
            meta_data="?smpp?a=v%20x",
            binfo="bill",
            mclass="1",
            **{"from": f"00{SENDER[1:]}"},
        )

        assert message.callback_url == (
            f"{RECEIVER}?n=shop&o=a+b%%25d%%26c%%3D1&D=%%3Fsmpp%%3Fa%%3Dv%%2520x&B=bill&P=0015005550006&Q=%%2B15005550006"
            "&c=-1&C=UTF-8&m=1&M=-1&O=00&f=&u=&v=&V=&h=v+x&d=%d&z=%z"
        )

    def test_without_a_sender_it_is_filled_later(self, kannel: GatewayClient) -> None:
        assert self.told(kannel, dlr_url=f"{RECEIVER}?%P", dlr_mask="1").callback_url == f"{RECEIVER}?%P"

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("http://127.0.0.1/", "names an address that is not called"),
            ("http://10.1.2.3/?%d", "names an address that is not called"),
            ("http://localhost/?%d", "names an address that is not called"),
            ("http://[::1]/", "names an address that is not called"),
            ("http://169.254.169.254/latest?%d", "names an address that is not called"),
            ("http://2130706433/", "names an address that is not called"),
            ("http://user:secret@client.example.com/", "names an address that is not called"),
            ("http://client.example.com:6379/", "names an address that is not called"),
            ("http://client.example.com:22/", "names an address that is not called"),
            ("http://client.example.com\\@127.0.0.1/", "names an address that is not called"),
            ("http:///path", "names an address that is not called"),
            ("http://%p/", "misformed"),
            ("http://client.example.com:%d/", "misformed"),
            ("http://%d.example.com/", "misformed"),
            ("http://client.example.com%2F@127.0.0.1/", "misformed"),
            ("http://%p@client.example.com/", "misformed"),
            ("//client.example.com/", "misformed"),
            ("%d://client.example.com/", "misformed"),
            (f"{RECEIVER}?{'x' * 500}", "is too long"),
            (f"{RECEIVER}?{'%A' * 30}", "names an address that is not called"),
        ],
    )
    def test_addresses_that_are_not_called(self, kannel: GatewayClient, url: str, words: str) -> None:
        response = kannel.get({**SMS, "dlr-url": url, "dlr-mask": "31"})

        assert answer(response) == (400, f"DLR-URL field {words}, rejected".encode())
        assert stored() == []

    @pytest.mark.parametrize(
        "values",
        [
            {"dlr-url": RECEIVER + "?" + "%R" * 12_000},
            {"dlr-url": RECEIVER + "?" + "%D" * 200, "meta-data": "x" * 50_000},
            {"dlr-url": RECEIVER + "?" + "%#a#b#" * 70, "meta-data": f"?a?b={'x' * 50_000}"},
        ],
        ids=["template", "meta-data", "parameter"],
    )
    def test_an_address_does_not_grow_beyond_what_it_may_have(
        self, kannel: GatewayClient, values: dict[str, str]
    ) -> None:
        tracemalloc.start()
        response = kannel.post({**SMS, **values, "dlr-mask": "31"})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert answer(response) == (400, b"DLR-URL field is too long, rejected")
        assert peak < 4 * 1024 * 1024

    def test_networks_that_the_operator_allows(self, kannel: GatewayClient, settings: Any) -> None:
        settings.CALLBACK_ALLOWED_NETWORKS = ["10.1.0.0/16"]

        assert self.told(kannel, dlr_url="http://10.1.2.3:9000/?%d", dlr_mask="31").callback_url

    def test_blanks_and_letters_beyond_ascii_are_encoded(self, kannel: GatewayClient) -> None:
        message = self.told(kannel, dlr_url=f"{RECEIVER}?a=é b&d=%d", dlr_mask="31")

        assert message.callback_url == f"{RECEIVER}?a=%%C3%%A9+b&d=%d"


def test_limits_throttle_and_a_blocked_prefix_is_refused(kannel) -> None:
    rules.save(VelocityLimit(recipient_per_hour=1), now=NOW)

    answers = [kannel.get({**SMS, "to": to}) for to in ("+14155550101", "+14155550101", "+881612345678")]

    assert [each.status_code for each in answers] == [202, 503, 400]
    assert answers[1].content == b"Temporal failure, try again later."
    assert Message.objects.count() == 1


def test_beyond_the_budget_the_client_is_told_to_come_again(
    kannel: GatewayClient, credential: GatewayCredential
) -> None:
    budget_changes.create(
        owner=credential.user, country="", period="month", limit=Decimal(1), currency="", now=timezone.now()
    )

    assert answer(kannel.get(SMS)) == ACCEPTED
    assert answer(kannel.get(SMS)) == (503, b"Temporal failure, try again later.")
    assert len(stored()) == 1
