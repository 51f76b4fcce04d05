"""POST Messages: what becomes of the parameters, and every refusal."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from twilio.base.exceptions import TwilioRestException

from messaging import twilio_ids
from messaging.models import Message, PhoneNumber, Suppression, VelocityLimit
from messaging.services.costs import budget_changes
from messaging.services.installation import API_READER
from messaging.services.limits import rules
from messaging.twilio_api import requests
from tests.factories import NOW, PhoneNumberFactory, QueueFactory, SenderFactory, UserFactory
from tests.installed import install
from tests.messaging.twilio_api.conftest import SENDER, TO, Twilio, message_of, twilio_of
from tests.messaging.twilio_api.facts import FACTS, assert_error, assert_resource

pytestmark = pytest.mark.django_db
CALLBACK = "https://example.com/twilio/status"


def soon(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_sdk_sends_a_message(client, twilio: Twilio) -> None:
    sent = client.messages.create(to=TO, from_=SENDER, body="Hello, world", status_callback=CALLBACK)

    row = message_of(sent.sid)
    assert (row.owner, row.to_number, row.from_number, row.text) == (twilio.user, TO, SENDER, "Hello, world")
    assert (row.callback_url, row.callback_dialect) == (CALLBACK, "twilio")
    assert (sent.status, sent.direction, sent.num_segments, sent.num_media) == ("queued", "outbound-api", "1", "0")
    assert (sent.to, sent.from_, sent.body, sent.account_sid) == (TO, SENDER, "Hello, world", twilio.sid)
    assert (sent.error_code, sent.price, sent.messaging_service_sid, sent.date_sent) == (None, None, None, None)
    assert sent.date_created.tzinfo is not None


@pytest.mark.parametrize("path", ["Messages.json", "Messages", "Messages.json/"])
def test_the_answer_is_201_and_has_every_key(twilio: Twilio, path: str) -> None:
    response = twilio.post(path, To=TO, From=SENDER, Body="Grüße 👋")

    assert response.status_code == 201
    assert_resource("message", response.json())
    assert response.json()["body"] == "Grüße 👋"


def test_json_with_the_same_names_is_taken(twilio: Twilio) -> None:
    response = twilio.json(
        {"To": TO, "From": SENDER, "Body": "Hello", "ValidityPeriod": 600, "SmartEncoded": True, "Attempt": None}
    )

    assert response.status_code == 201
    assert message_of(response.json()["sid"]).valid_for == 600


def test_all_that_twilio_documents_is_accepted(twilio: Twilio) -> None:
    given = {
        "To": TO, "From": SENDER, "Body": "Hello", "StatusCallback": CALLBACK, "MaxPrice": "1", "ApplicationSid": "AP0",
        "ProvideFeedback": "true", "Attempt": "1", "ValidityPeriod": "36000", "ForceDelivery": "true",
        "ContentRetention": "retain", "AddressRetention": "retain", "SmartEncoded": "true", "PersistentAction": "geo:1,2",
        "TrafficType": "free", "ShortenUrls": "true", "ScheduleType": "fixed", "SendAt": soon(hours=1), "SendAsMms": "false",
        "ContentVariables": "{}", "RiskCheck": "enable", "FallbackFrom": SENDER,
        "MessagingServiceSid": twilio_ids.service_sid("express"),
    }  # fmt: skip

    response = twilio.post(**given)

    assert response.status_code == 201
    assert set(FACTS["forms"]["create_message"]["properties"]) - set(given) == {"MediaUrl", "ContentSid"}
    assert response.json()["status"] == "scheduled"


def test_a_messaging_service_is_a_queue_and_may_choose_the_sender(client, twilio: Twilio) -> None:
    QueueFactory(name="bulk")
    SenderFactory(number="+15005550001", owner=twilio.user, is_default=True)

    sent = client.messages.create(to=TO, messaging_service_sid=twilio_ids.service_sid("bulk"), body="Hello")
    by_default = client.messages.create(to=TO, messaging_service_sid=twilio_ids.service_sid("express"), body="Hello")

    assert (message_of(sent.sid).queue_id, sent.from_) == ("bulk", "+15005550001")
    assert sent.messaging_service_sid == twilio_ids.service_sid("bulk")
    assert by_default.messaging_service_sid == twilio_ids.service_sid("express")
    assert client.messages(by_default.sid).fetch().messaging_service_sid is None
    assert client.messages(sent.sid).fetch().messaging_service_sid == twilio_ids.service_sid("bulk")


@pytest.mark.parametrize("named", [{"From": SENDER}, {"MessagingServiceSid": twilio_ids.service_sid("express")}])
def test_a_message_is_scheduled_with_and_without_a_service(twilio: Twilio, named: dict[str, str]) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)

    response = twilio.post(To=TO, Body="Later", SendAt=at.isoformat(), ScheduleType="fixed", **named)

    assert response.json()["status"] == "scheduled"
    assert message_of(response.json()["sid"]).send_at == at


def test_senders_with_a_name_are_compared_as_they_are_written(twilio: Twilio) -> None:
    SenderFactory(number="Clinic", owner=twilio.user)

    assert twilio.send(From="Clinic").json()["from"] == "Clinic"
    assert_error(twilio.send(From="clinic"), 400, 21606)


def test_a_plus_that_was_not_escaped_is_read(twilio: Twilio) -> None:
    response = twilio("POST", "Messages.json", data=f"To={TO}&From={SENDER}&Body=Hello")

    assert (response.json()["to"], response.json()["from"]) == (TO, SENDER)


REFUSED = {
    "to is missing": ({"To": ""}, 400, 21604),
    "to is no number": ({"To": "nobody"}, 400, 21211),
    "to is national": ({"To": "4155550101"}, 400, 21211),
    "to is whatsapp": ({"To": f"whatsapp:{TO}"}, 400, 21910),
    "from is whatsapp": ({"From": f"whatsapp:{SENDER}"}, 400, 21910),
    "from is missing": ({"From": ""}, 400, 21603),
    "from cannot be": ({"From": "+1"}, 400, 21212),
    "from is not ours": ({"From": "+15005550099"}, 400, 21659),
    "from is another user's": ({"From": "+15005550098"}, 400, 21659),
    "from is a short code of others": ({"From": "12345"}, 400, 21659),
    "from is a name of others": ({"From": "Somebody"}, 400, 21606),
    "no body": ({"Body": ""}, 400, 21602),
    "a blank body": ({"Body": " \n"}, 400, 21602),
    "no body and no media": ({"Body": "", "MediaUrl": ""}, 400, 21602),
    "blank media": ({"Body": " ", "MediaUrl": [" ", ""]}, 400, 21602),
    "1601 characters": ({"Body": "a" * 1601}, 400, 21617),
    "11 segments": ({"Body": "é" * 1599}, 400, 21617),
    "NUL": ({"Body": "a\0b"}, 400, 20001),
    "a private callback": ({"StatusCallback": "http://127.0.0.1/x"}, 400, 21609),
    "a callback that is none": ({"StatusCallback": "example"}, 400, 21609),
    "a callback with a password": ({"StatusCallback": "https://a:b@example.com/"}, 400, 21609),
    "a long callback": ({"StatusCallback": f"https://example.com/{'a' * 500}"}, 400, 21609),
    "no such service": ({"MessagingServiceSid": "MG" + "0" * 32}, 404, 21701),
    "validity of 0": ({"ValidityPeriod": "0"}, 400, 20001),
    "validity of 36001": ({"ValidityPeriod": "36001"}, 400, 20001),
    "validity of an Arabic digit": ({"ValidityPeriod": "٣"}, 400, 20001),
    "too soon": ({"SendAt": soon(minutes=10), "ScheduleType": "fixed"}, 400, 35114),
    "too late": ({"SendAt": soon(days=36), "ScheduleType": "fixed"}, 400, 35114),
    "the end of time": ({"SendAt": "9999-12-31T23:59:59-23:59", "ScheduleType": "fixed"}, 400, 35114),
    "a date alone": ({"SendAt": soon(days=2)[:10], "ScheduleType": "fixed"}, 400, 35114),
    "no time": ({"SendAt": "tomorrow", "ScheduleType": "fixed"}, 400, 35114),
    "a type without time": ({"ScheduleType": "fixed"}, 400, 35111),
    "a time without type": ({"SendAt": soon(hours=1)}, 400, 35118),
    "11 media": ({"MediaUrl": ["https://example.com/a.png"] * 11}, 400, 21623),
    "inactive": ({"To": "+14155550177"}, 400, 21614),
    "opted out": ({"To": "+14155550178"}, 400, 21610),
}  # fmt: skip


def test_the_repeat_of_a_scheduled_message_may_come_late(twilio: Twilio, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"To": TO, "From": SENDER, "Body": "Hello", "SendAt": soon(minutes=16), "ScheduleType": "fixed"}
    first = twilio("POST", "Messages.json", fields, Idempotency_Key="once")
    monkeypatch.setattr(requests, "EARLIEST", timedelta(minutes=17))  # as it is a minute later

    assert twilio("POST", "Messages.json", fields, Idempotency_Key="once").json() == first.json()
    assert_error(twilio("POST", "Messages.json", fields, Idempotency_Key="twice"), 400, 35114)
    assert_error(twilio("POST", "Messages.json", {**fields, "Body": "x"}, Idempotency_Key="once"), 409, 20409)
    assert Message.objects.count() == 1


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_has_twilios_code_and_stores_nothing(twilio: Twilio, case: str) -> None:
    fields, status, code = REFUSED[case]
    SenderFactory(number="+15005550098", owner=UserFactory())
    PhoneNumberFactory(number="+14155550177", inactive=True)
    Suppression.objects.create(number="+14155550178", source="api", created_at=NOW)

    error = assert_error(twilio.send(**fields), status, code)

    assert not Message.objects.exists()
    assert TO not in error["message"]
    assert not PhoneNumber.objects.filter(number=TO).exists()


NAMES_OF_THE_SDK = {
    "To": "to", "From": "from_", "Body": "body", "StatusCallback": "status_callback", "SendAt": "send_at",
    "MediaUrl": "media_url", "MessagingServiceSid": "messaging_service_sid", "ValidityPeriod": "validity_period",
    "ScheduleType": "schedule_type",
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_the_sdk_raises_the_code(client, case: str) -> None:
    fields, status, code = REFUSED[case]
    PhoneNumberFactory(number="+14155550177", inactive=True)
    Suppression.objects.create(number="+14155550178", source="api", created_at=NOW)
    given = {"To": TO, "From": SENDER, "Body": "Hello", **fields}

    with pytest.raises(TwilioRestException) as raised:
        client.messages.create(**{NAMES_OF_THE_SDK[name]: value for name, value in given.items()})

    assert (raised.value.status, raised.value.code) == (status, code)


BODIES = {
    "no JSON": (b"{", "application/json", 400, 20001),
    "a JSON list": (b"[]", "application/json", 400, 20001),
    "nested": (b'{"Body": {"a": 1}}', "application/json", 400, 20001),
    "deep": (b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "application/json", 400, 20001),
    "half a surrogate": (b'{"Body": "\\ud800"}', "application/json", 400, 20001),
    "not UTF-8": (b"Body=%ff", "application/x-www-form-urlencoded", 400, 20001),
    "raw octets": (b"Body=\xff", "application/x-www-form-urlencoded", 400, 20001),
    "many fields": (b"a=1&" * 500, "application/x-www-form-urlencoded", 400, 20001),
    "large": (b"Body=" + b"a" * 200_000, "application/x-www-form-urlencoded", 413, 20413),
    "XML": (b"<a/>", "text/xml", 415, 20415),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_cannot_be_read_is_refused(twilio: Twilio, case: str) -> None:
    data, content_type, status, code = BODIES[case]

    assert_error(twilio("POST", "Messages.json", data=data, content_type=content_type), status, code)


@pytest.mark.parametrize("header", ["Idempotency-Key", "I-Twilio-Idempotency-Token"])
def test_a_repeat_with_a_key_sends_nothing_again(twilio: Twilio, header: str) -> None:
    fields = f"To={quote(TO)}&From={quote(SENDER)}&Body=Hello"

    first, second = (twilio("POST", "Messages.json", data=fields, **{header: "once"}) for _ in range(2))
    other = twilio("POST", "Messages.json", data=f"{fields}2", **{header: "once"})

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert_resource("message", second.json())
    assert Message.objects.count() == 1
    assert_error(other, 409, 20409)


def test_one_message_takes_as_many_queries_as_at_the_other_api(twilio: Twilio, monkeypatch) -> None:
    monkeypatch.setattr("messaging.credential_memory.SECONDS", 60.0)
    twilio.send()

    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert twilio.send(To="+14155550102").status_code == 201

    inserts = [each for each in captured if "INSERT" in each["sql"]]
    assert len(captured) - len(inserts) <= (2 if connection.vendor == "sqlite" else 0)  # BEGIN and COMMIT


def test_who_may_not_send_gets_403(db: None) -> None:
    install()
    reader = UserFactory()
    reader.groups.add(Group.objects.get(name=API_READER))

    assert_error(twilio_of(reader).send(), 403, 20006)


def test_limits_are_429_with_retry_after_and_a_blocked_prefix_is_21408(twilio: Twilio) -> None:
    rules.save(VelocityLimit(recipient_per_hour=1), now=NOW)
    assert twilio.post(To=TO, From=SENDER, Body="Hi").status_code == 201

    refused = twilio.post(To=TO, From=SENDER, Body="Hi")

    assert_error(refused, 429, 20429)
    assert 0 < int(refused.headers["Retry-After"]) <= 3900
    assert_error(twilio.post(To="+881612345678", From=SENDER, Body="Hi"), 400, 21408)
    assert Message.objects.count() == 1


def test_beyond_the_budget_it_is_429_until_the_period_ends(twilio: Twilio) -> None:
    budget_changes.create(
        owner=twilio.user, country="", period="month", limit=Decimal(1), currency="", now=datetime.now(UTC)
    )
    assert twilio.post("Messages.json", To=TO, From=SENDER, Body="x").status_code == 201

    response = twilio.post("Messages.json", To=TO, From=SENDER, Body="x")

    assert_error(response, 429, 20429)
    assert int(response.headers["Retry-After"]) > 0
    assert Message.objects.count() == 1
