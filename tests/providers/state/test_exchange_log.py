"""The latest exchanges of an account: masked, bounded, a few of each kind, and never in the way of a send."""

import json
from datetime import timedelta

import pytest

from providers import exchanges
from providers.contract.messages import OutboundMessage
from providers.errors import (
    CredentialsRefused,
    Misconfigured,
    NoMessageId,
    NotCalled,
    OutcomeUnknown,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Refused,
    Rejected,
    SendError,
    Unavailable,
)
from providers.exchanges import Recording
from providers.state import exchange_log, redis_client
from providers.state.exchange_log import Outcome, describe, keep, recent
from tests.factories import NOW

MESSAGE = OutboundMessage(to="+14155550101", text="Your code is 493201", sender=None, reference="0190a1b2")
CONFIG = {"headers": {"X-Api-Key": {"env": "PROVIDER_ACME_KEY"}}}


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_log, "_sampler", exchange_log._Sampler())
    monkeypatch.setenv("PROVIDER_ACME_KEY", "the-secret-key")


def recording(*, rule: str = "", body: bytes = b"", answer: bytes = b"{}", **headers: str) -> Recording:
    made = Recording()
    with made.of(MESSAGE):
        exchanges.note_request("POST", "https://a.example/send", {"X-Api-Key": "the-secret-key"}, body)
        exchanges.note_response(200, headers, answer)
        exchanges.decided_by(rule)
    return made


def outcome(error: SendError | None = None, *, seconds: int = 0, is_test: bool = False) -> Outcome:
    return Outcome(error, "" if error else f"p{seconds}", 7, at=NOW + timedelta(seconds=seconds), is_test=is_test)


def keep_one(error: SendError | None = None, *, seconds: int = 0, is_test: bool = False) -> None:
    keep("acme", recording(), outcome(error, seconds=seconds, is_test=is_test), config=CONFIG)


def seconds_of(found: list[exchange_log.Exchange]) -> list[float]:
    return [(each.at - NOW).total_seconds() for each in found]


def test_what_is_kept_has_neither_secrets_nor_the_number_nor_the_text() -> None:
    body = json.dumps({"to": MESSAGE.to, "text": MESSAGE.text, "key": "the-secret-key"}).encode()
    keep(
        "acme",
        recording(rule="answer[0]: 493201", body=body, answer=b'{"to": "14155550101", "body": "Your code is 493201"}'),
        outcome(Rejected("refused +14155550101")),
        config=CONFIG,
    )

    [found] = recent("acme", since=NOW)
    [call] = found.calls
    assert json.loads(call.body) == {"to": "…0101", "text": "<text>", "key": "<PROVIDER_ACME_KEY>"}
    assert json.loads(call.response_body) == {"to": "…0101", "body": "<text>"}
    assert list(call.headers) == [["X-Api-Key", "<PROVIDER_ACME_KEY>"]]
    assert (found.rule, found.detail) == ("answer[0]: <text>", "refused …0101")
    assert (found.verdict, found.error_code, found.reference) == ("rejected", "provider_rejected", "0190a1b2")
    with redis_client.exchange() as client:
        [key] = client.keys("*exchanges*")
        stored = client.lrange(key, 0, -1)[0]
        assert 0 < client.ttl(key) <= 24 * 3600
    assert not any(part in stored for part in ("493201", "5550101", "secret-key"))


def test_the_latest_ten_are_kept_newest_first() -> None:
    for second in range(12):
        keep_one(seconds=second, is_test=True)

    assert seconds_of(recent("acme", since=NOW)) == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]
    assert seconds_of(recent("acme", since=NOW + timedelta(seconds=9))) == [11, 10, 9]
    assert recent("other", since=NOW) == []


def test_failures_are_not_crowded_out_by_acceptances() -> None:
    for second in range(7):
        keep_one(Unavailable("down"), seconds=second)
    for second in range(7, 17):
        keep_one(seconds=second)

    assert seconds_of(recent("acme", since=NOW)) == [16, 15, 14, 13, 12, 6, 5, 4, 3, 2]


def test_a_busy_account_costs_one_write_a_second_for_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    pushed = []
    monkeypatch.setattr(exchange_log, "_push", lambda _client, key, _content: pushed.append(key.rpartition(":")[2]))
    clock = [1000.0]
    monkeypatch.setattr(exchange_log.time, "monotonic", lambda: clock[0])
    for _ in range(50):
        keep_one()
        keep_one(Unavailable("down"))
    assert sorted(pushed) == ["accepted"] * 10 + ["failed"] * 10

    pushed.clear()
    clock[0] += 1.0
    for _ in range(50):
        keep_one()
    assert pushed == ["accepted"]

    keep_one(is_test=True)
    assert pushed == ["accepted", "accepted"]


def test_a_call_that_was_not_made_is_not_kept() -> None:
    keep_one(NotCalled("its claim ended"))

    assert recent("acme", since=NOW) == []


@pytest.mark.usefixtures("no_redis")
def test_without_redis_nothing_is_kept_and_nothing_fails() -> None:
    keep_one()

    assert recent("acme", since=NOW) == []


def test_a_fault_in_the_description_is_logged_and_raises_nothing(caplog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_log, "Mask", lambda *_, **__: 1 / 0)

    keep_one()

    assert caplog.messages == ["an exchange of account acme could not be described: ZeroDivisionError"]


def test_what_another_version_has_stored_is_passed_over() -> None:
    keep_one()
    with redis_client.exchange() as client:
        [key] = client.keys("*exchanges*")
        client.lpush(key, "{", "[]", '{"at": "2026-11-22T09:00:00+00:00", "calls": []}')

    assert seconds_of(recent("acme", since=NOW)) == [0]


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (None, "accepted"),
        (OutcomeUnknown("lost"), "unknown"),
        (NoMessageId("no id"), "unknown"),
        (RecipientInvalid("no"), "recipient_invalid"),
        (RecipientOptedOut("no"), "recipient_opted_out"),
        (Rejected("no"), "rejected"),
        (RateLimited("slow"), "rate_limited"),
        (CredentialsRefused("no"), "credentials"),
        (Misconfigured("no key"), "misconfigured"),
        (Refused("no"), "refused"),
        (Unavailable("down"), "unavailable"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_error_has_its_verdict(error: SendError | None, verdict: str) -> None:
    found = describe(recording(), outcome(error), config={})

    assert (found.verdict, found.is_accepted) == (verdict, error is None)
    assert found.consequence.endswith(".")


def test_long_and_binary_content_is_cut_after_it_was_masked() -> None:
    padding = b"x" * (exchange_log.MAX_BODY - 5)
    made = recording(
        body=padding + b"the-secret-key", answer=bytes(range(256)) * 200, **{f"x-{n}": "1" for n in range(50)}
    )

    [call] = describe(made, outcome(), config=CONFIG).calls

    assert len(call.body) == len(call.response_body) == exchange_log.MAX_BODY
    assert not {"the-", "secret"} & set(call.body.split("x"))
    assert call.body.endswith("… (cut)")
    assert call.response_headers == ()


def test_an_access_token_that_the_provider_quotes_is_not_kept() -> None:
    made = Recording()
    with made.of(MESSAGE):
        for token in ("fetched-first", "fetched-second"):
            exchanges.note_request("POST", "https://a.example/send", {"Authorization": f"Bearer {token}"}, b"")
            exchanges.note_response(401, {"www-authenticate": f"Bearer error={token}"}, f"{token} has ended".encode())

    found = describe(made, outcome(CredentialsRefused("401")), config={})

    assert "fetched" not in repr(found)
    assert [call.response_body for call in found.calls] == [f"<access_token_{number}> has ended" for number in (1, 2)]


def test_a_secret_at_the_end_of_what_is_masked_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_ACME_KEY", "long-secret" * 30)
    body = b"long-secret" * 30 * 25

    [call] = describe(recording(body=body), outcome(), config=CONFIG).calls

    assert len(body) > exchange_log.MAX_MASKED
    assert "secret" not in call.body


def test_a_body_is_read_in_its_own_charset() -> None:
    in_latin = recording(answer="Grüße".encode("latin-1"), **{"content-type": "text/plain; charset=ISO-8859-1"})
    unknown = recording(answer="Grüße".encode(), **{"content-type": "text/plain; charset=idna-8"})

    for made in (in_latin, unknown):
        [call] = describe(made, outcome(), config={}).calls
        assert call.response_body == "Grüße"


def test_outside_of_a_recording_nothing_is_noted() -> None:
    made = recording()

    exchanges.note_request("GET", "https://b.example/", {}, None)
    exchanges.note_response(500, {}, b"")
    exchanges.decided_by("later")

    assert [call.url for call in made.calls] == ["https://a.example/send"]
    assert (made.calls[0].status, made.rule) == (200, "")
