"""Each real call leaves its exchange for the account's page, and none of it can fail a send."""

import pytest

from messaging.services.outbound.dispatch import sending
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from providers.state import exchange_log, rate_limit
from tests.factories import NOW, AccountFactory, MessageFactory
from tests.journeys.carrier import Carrier
from tests.messaging.services.outbound.dispatch.fakes import LEASE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
NUMBER, TEXT = "+14155550101", "Your code is 493201"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_log, "_sampler", exchange_log._Sampler())


def send(to: str = NUMBER) -> sending.SendResult | sending.Deferred:
    MessageFactory(to_number=to, text=TEXT)
    [attempt] = start_attempts(claim(queue_name="express", limit=1, now=NOW, lease=LEASE), now=NOW, lease=LEASE)
    return sending.send(attempt, clock=lambda: NOW)


def test_an_accepted_and_a_refused_message_are_kept_without_number_and_text() -> None:
    answers = iter([(200, {"message_id": "p1", "to": NUMBER}), (400, {"message": f"bad: {TEXT}"})])
    with Carrier(lambda _call: next(answers)) as carrier:
        AccountFactory(slug="acme", config={"url": carrier.url, "fields": {"to": "to", "message": "text", "id": "ref"}})
        sent, refused = send(), send(to="+14155560101")

    kept = exchange_log.recent("acme", since=NOW)

    assert {(each.verdict == "accepted", each.reference) for each in kept} == {
        (True, str(sent.attempt.message.pk)),
        (False, str(refused.attempt.message.pk)),
    }
    for each in kept:
        [call] = each.calls
        assert call.body == f'{{"to": "…0101", "text": "<text>", "ref": "{each.reference}"}}'
    assert {each.calls[0].response_body for each in kept} == {
        '{"message_id": "p1", "to": "…0101"}',
        '{"message": "bad: <text>"}',
    }
    assert {each.calls[0].status for each in kept} == {200, 400}


def test_a_missing_secret_is_kept_as_the_reason() -> None:
    AccountFactory(slug="acme", config={"url": {"env": "PROVIDER_NOT_SET"}})

    send()

    [kept] = exchange_log.recent("acme", since=NOW)
    assert (kept.verdict, kept.detail) == ("misconfigured", "environment variable PROVIDER_NOT_SET is not set")
    assert kept.calls == ()


def test_a_call_that_waits_for_the_rate_limit_is_not_kept() -> None:
    with Carrier() as carrier:
        AccountFactory(slug="acme", config={"url": carrier.url, "max_per_second": 1})
        rate_limit.acquire("acme", 1, 1)

        assert isinstance(send(), sending.Deferred)

    assert exchange_log.recent("acme", since=NOW) == []


@pytest.mark.usefixtures("no_redis")
def test_without_redis_the_message_is_sent() -> None:
    with Carrier() as carrier:
        AccountFactory(slug="acme", config={"url": carrier.url})

        result = send()

    assert (result.provider_message_id, result.error) == ("carrier-1", None)
