"""The code is in no table, no value of Redis, no log line and no repr, whatever a carrier does with the text."""

import json
import logging
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.apps import apps
from django.conf import settings as project
from django.db import connection
from django.test import Client
from django.utils import timezone

from messaging.models import DeliveryAttempt, Message, ProviderCallback, Verification
from messaging.services.outbound import receipts, recovery
from messaging.services.outbound.dispatch import sending
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.settle import settle
from messaging.services.verification import check as checks
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.sender import Capabilities
from providers.errors import (
    NotCalled,
    OutcomeUnknown,
    RateLimited,
    RecipientInvalid,
    Refused,
    Rejected,
    SendError,
    Unavailable,
)
from providers.models import ProviderAccount
from providers.state import exchange_log
from tests.factories import NOW, AccountFactory, EndpointFactory
from tests.journeys.carrier import Carrier, ReceivedCall
from tests.messaging.api.conftest import Api
from tests.messaging.services.outbound.dispatch.fakes import LEASE, dispatcher, result_of
from tests.messaging.services.verification.making import TO, code_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
LENGTH = 10  # long enough to stand nowhere by chance


@pytest.fixture(autouse=True)
def _fresh(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ProviderAccount.objects.all().delete()
    monkeypatch.setattr(exchange_log, "_sampler", exchange_log._Sampler())


def everything_stored() -> str:
    """All rows of all tables, as the database has them, and all that Redis has."""
    parts: list[str] = []
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(model._meta.db_table)}")  # noqa: S608 (our own names)
            parts += [repr(bytes(v) if isinstance(v, memoryview) else v) for row in cursor.fetchall() for v in row]
    client = redis.Redis.from_url(project.REDIS_URL)
    for key in client.scan_iter("*"):
        parts.append(repr(client.dump(key)) + repr(key))
        if client.type(key) == b"list":
            parts += [repr(value) for value in client.lrange(key, 0, -1)]
        elif client.type(key) == b"string":
            parts.append(repr(client.get(key)))
    return "\n".join(parts)


def assert_nowhere(code: str, content: str) -> None:
    for form in (code, code.encode().hex(), code.encode("utf-16-be").hex(), code.encode("utf-16-be").hex().upper()):
        assert form not in content


def begin(api: Api, **fields: Any) -> tuple[Verification, str, str]:
    response = api.post("verifications/", {"to": TO, "code_length": LENGTH, **fields})
    assert response.status_code == 201, response.content
    row = Verification.objects.get(pk=response.json()["id"])
    return row, code_of(row), response.content.decode()


def config(carrier: Carrier, **more: Any) -> dict[str, Any]:
    return {"url": carrier.url, "fields": {"to": "to", "message": "text", "id": "ref", "callback_url": "back"}, **more}


def quoting(status: int, *, code_key: str = "code") -> Any:
    def answer(call: ReceivedCall) -> tuple[int, Any]:
        text = call.content["text"]
        return status, {"message": f"bad text: {text}", code_key: text[:60], "hex": text.encode("utf-16-be").hex()}

    return answer


def run() -> None:
    dispatcher(None, clock=timezone.now).run("express")  # type: ignore[arg-type]  # any clock


def test_a_whole_journey_with_a_carrier_that_quotes_the_text(api: Api, caplog, settings) -> None:
    settings.PUBLIC_URL = "https://sms.example"
    caplog.set_level(logging.DEBUG)
    EndpointFactory(owner=api.user)
    with Carrier(quoting(503)) as down, Carrier(quoting(400)) as refusing, Carrier() as good:
        AccountFactory(slug="down", weight=1000, config=config(down))
        AccountFactory(slug="refusing", weight=100, config=config(refusing))
        AccountFactory(slug="good", weight=0, config=config(good))
        row, code, response = begin(api)
        for _ in range(3):
            run()
            Message.objects.filter(status="queued").update(next_attempt_at=None)
        told = [call.content["text"] for carrier in (down, refusing, good) for call in carrier.calls]

    assert len(told) >= 2
    assert all(code in text for text in told)
    assert DeliveryAttempt.objects.exclude(outcome="accepted").exists()
    answers = [
        response,
        *(
            api.get(path).content.decode()
            for path in (
                f"verifications/{row.pk}/",
                f"messages/{row.message_ids[0]}/",
                f"messages/{row.message_ids[0]}/attempts/",
                f"messages/{row.message_ids[0]}/events/",
                "messages/",
            )
        ),
    ]
    assert api.post(f"verifications/{row.pk}/check/", {"code": code}).json() == {"status": "approved", "valid": True}
    assert Message.objects.get().text.count("*") == LENGTH
    assert_nowhere(code, everything_stored())
    assert_nowhere(code, "\n".join(answers))
    assert_nowhere(code, "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records))


@pytest.mark.parametrize("status", [200, 201, 400, 409, 429, 500, 503])
def test_no_answer_of_a_carrier_brings_it_into_the_database(api: Api, caplog, status: int) -> None:
    caplog.set_level(logging.DEBUG)
    rule = [{"path": "message", "exists": True, "outcome": "rejected", "code": "message"}] if status == 400 else []
    with Carrier(quoting(status)) as carrier:
        AccountFactory(slug="acme", config=config(carrier, **({"answer": rule} if rule else {})))
        _row, code, _ = begin(api, domain="shop.example.com")
        run()

    assert [call.content["text"].count(code) for call in carrier.calls] == [2]
    assert DeliveryAttempt.objects.exists()
    assert_nowhere(code, everything_stored())
    assert_nowhere(code, caplog.text)


@pytest.mark.parametrize("error", [Rejected, Refused, Unavailable, OutcomeUnknown, RecipientInvalid, RateLimited])
def test_no_error_of_a_backend_brings_it_into_the_database(
    api: Api, monkeypatch, caplog, error: type[SendError]
) -> None:
    """Backends in code may quote what a carrier says."""
    told: list[str] = []

    class Quoting:
        capabilities = Capabilities()

        def send(self, message: OutboundMessage) -> Accepted:
            told.append(message.text)
            assert message.text not in repr(message)
            raise error(f"refused: {message.text}", code=message.text[:60])

    caplog.set_level(logging.DEBUG)
    AccountFactory(slug="acme")
    monkeypatch.setattr(sending.registry, "backend_for", lambda _account: nullcontext(Quoting()))
    _row, code, _ = begin(api)
    run()

    assert [code in text for text in told] == [True]
    assert "refused: Your code is **********" in DeliveryAttempt.objects.get().error_detail
    assert_nowhere(code, everything_stored())
    assert_nowhere(code, caplog.text)


def test_a_receipt_that_quotes_the_text_is_kept_without_it(api: Api, settings) -> None:
    settings.PUBLIC_URL = "https://sms.example"
    with Carrier() as carrier:
        AccountFactory(slug="acme", config=config(carrier))
        _row, code, _ = begin(api)
        run()
    [call] = carrier.calls
    address = call.content["back"].removeprefix("https://sms.example")
    body = {"message_id": "carrier-1", "status": "delivered", "text": call.content["text"]}

    answer = Client().post(address, json.dumps(body), content_type="application/json")

    assert answer.status_code == 200
    assert Message.objects.get().status == "delivered"
    assert ProviderCallback.objects.get().reported == "delivered"
    assert_nowhere(code, everything_stored())


def test_a_receipt_that_names_no_attempt_is_masked_when_it_is_matched(api: Api) -> None:
    account = AccountFactory(slug="acme")
    _row, code, _ = begin(api)
    [attempt] = start_attempts(claim(queue_name="express", limit=1, now=NOW, lease=LEASE), now=NOW, lease=LEASE)
    report = StatusReport("p1", ReportedStatus.DELIVERED, raw_status=f"DELIVRD {code}", error_code=code)
    body = json.dumps({"id": "p1", "text": f"Your code is {code}", "hex": code.encode().hex()}).encode()

    parked = receipts.ingest([report], account=account, body=body, attempt_id=None, now=NOW)
    settle([result_of(attempt, "p1")], now=NOW, lease=LEASE, position=lambda: 0.5)

    assert parked == [ProviderCallback.State.UNMATCHED]
    assert Message.objects.get().status == "delivered"
    kept = json.loads(ProviderCallback.objects.get().body)
    assert (kept["message_id"], kept["status"]) == ("p1", f"DELIVRD {'*' * LENGTH}")
    assert_nowhere(code, everything_stored())


def test_the_carrier_is_told_the_end_of_the_code_whatever_the_message_says(api: Api, monkeypatch) -> None:
    told: list[OutboundMessage] = []

    class Telling:
        capabilities = Capabilities()

        def send(self, message: OutboundMessage) -> Accepted:
            told.append(message)
            return Accepted("p1")

    AccountFactory(slug="acme")
    monkeypatch.setattr(sending.registry, "backend_for", lambda _account: nullcontext(Telling()))
    row, _code, _ = begin(api, ttl=60)
    Message.objects.update(expires_at=row.expires_at + timedelta(hours=4), valid_for=14_400)
    run()

    assert [message.valid_until for message in told] == [row.expires_at]


def test_a_call_whose_code_expires_at_the_open_connection_is_not_made(api: Api) -> None:
    with Carrier() as carrier:
        AccountFactory(slug="acme", config=config(carrier))
        row, _code, _ = begin(api, ttl=60)
        Message.objects.update(expires_at=row.expires_at + timedelta(hours=4), valid_for=14_400)
        now = timezone.now()
        lease = timedelta(hours=1)
        [attempt] = start_attempts(claim(queue_name="express", limit=1, now=now, lease=lease), now=now, lease=lease)
        result = sending.send(attempt, clock=lambda: row.expires_at)

    assert isinstance(result, sending.SendResult)
    assert isinstance(result.error, NotCalled)
    assert carrier.calls == []


def test_no_repr_tells_it(api: Api) -> None:
    AccountFactory(slug="acme")
    row, code, _ = begin(api)
    now = timezone.now()

    [attempt] = start_attempts(claim(queue_name="express", limit=1, now=now, lease=LEASE), now=now, lease=LEASE)

    assert attempt.code is not None
    assert code in attempt.code.fill(attempt.message.text)
    shown = f"{attempt!r} {attempt.code!r} {row!r} {row} {attempt.message!r} {vars(attempt.message)!r}"
    assert_nowhere(code, shown)
    assert project.SECRET_KEY not in shown


def test_what_waits_is_not_sent_once_its_verification_has_ended(api: Api) -> None:
    with Carrier() as carrier:
        AccountFactory(slug="acme", config=config(carrier))
        row, _code, _ = begin(api)
        checks.cancel(verification_id=row.pk, now=timezone.now())
        run()

    message = Message.objects.get()
    assert (message.status, message.error_code, message.attempts) == ("failed", "verification_ended", 0)
    assert carrier.calls == []


def test_a_code_that_is_approved_between_claim_and_call_is_not_sent(api: Api) -> None:
    AccountFactory(slug="acme")
    row, code, _ = begin(api)
    now = timezone.now()
    claimed = claim(queue_name="express", limit=1, now=now, lease=LEASE)
    checks.check(verification_id=row.pk, code=code, now=now)

    assert start_attempts(claimed, now=now, lease=LEASE) == []

    assert Message.objects.get().error_code == "verification_ended"
    assert not DeliveryAttempt.objects.exists()


def test_an_expired_code_is_not_sent_and_cannot_be_retried(api: Api) -> None:
    with Carrier() as carrier:
        AccountFactory(slug="acme", config=config(carrier))
        row, _code, _ = begin(api)
        later = row.expires_at + timedelta(seconds=1)
        assert recovery.expire(now=later) == 1
        dispatcher(None, clock=lambda: later).run("express")  # type: ignore[arg-type]  # any clock

    assert carrier.calls == []
    assert Message.objects.get().status == "failed"


def test_it_is_not_sent_with_masks_where_the_key_is_gone(api: Api, settings) -> None:
    with Carrier() as carrier:
        AccountFactory(slug="acme", config=config(carrier))
        begin(api)
        settings.SECRET_KEY = "another one, without the old one as a fallback"
        run()

    assert carrier.calls == []
    assert Message.objects.get().error_code == "verification_ended"


def test_a_claim_without_codes_asks_for_none(express, django_assert_num_queries) -> None:
    from messaging.services.outbound import verification_codes  # noqa: PLC0415

    with django_assert_num_queries(0):
        assert verification_codes.of_messages([Message(), Message()], now=timezone.now()) == {}
