"""The latest requests and responses of each account, masked, for the account's page in the console.

They are kept in Redis for a day: ten that the provider accepted and ten that it did not. A process keeps ten of each kind at
once and one each second after that, so that a busy account costs no more than a quiet one.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import redis

from providers import errors
from providers.exchanges import RecordedCall, Recording
from providers.masking import Mask, secrets_of
from providers.state import shared_state

logger = logging.getLogger(__name__)

KEPT = 10
# How many of the shown ones are failures at least, however many acceptances are newer.
FAILURES_SHOWN = 5
TTL_SECONDS = 24 * 3600
BURST, PER_SECOND = 10, 1.0
MAX_CALLS, MAX_HEADERS = 3, 15
MAX_URL, MAX_HEADER, MAX_BODY, MAX_LINE = 500, 200, 2000, 300
CUT = " … (cut)"
BEARER: Final = "Bearer "
# Of longer content only the beginning is masked. A secret at its end may be incomplete and so not be found: that is left out.
MAX_MASKED, EDGE = 8000, 4000
# Headers of a response that say something about the outcome, or about who answered.
RESPONSE_HEADERS: Final = frozenset({
    *("content-type", "location", "retry-after", "www-authenticate"),
    *("server", "via", "x-request-id", "x-correlation-id", "cf-ray"),
})  # fmt: skip

ACCEPTED: Final = "accepted"
# The first class that fits: what the response means, and what becomes of the message.
_VERDICTS: Final[Sequence[tuple[type[errors.SendError], str, str]]] = (
    (errors.OutcomeUnknown, "unknown", "It may have been accepted, so it is never sent again automatically."),
    (errors.RecipientInvalid, "recipient_invalid", "The message fails, and the number becomes inactive."),
    (errors.RecipientOptedOut, "recipient_opted_out", "The message fails: its recipient has opted out."),
    (errors.Rejected, "rejected", "The message fails: it is refused for good."),
    (errors.RateLimited, "rate_limited", "It was not accepted: another account is tried, or this one later."),
    (
        errors.CredentialsRefused,
        "credentials",
        "It was not accepted: another account is tried; an operator has to act.",
    ),
    (errors.Misconfigured, "misconfigured", "Nothing was sent: another account is tried; an operator has to act."),
    (errors.Refused, "refused", "This text is refused: the other accounts are tried, and when all refuse, it fails."),
    (errors.SendError, "unavailable", "It was not accepted: another account is tried at once, and later again."),
)


@dataclass(frozen=True, slots=True)
class ExchangedCall:
    """One HTTP call, masked and cut. `status` is None without a complete response."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    body: str
    status: int | None
    response_headers: Sequence[tuple[str, str]]
    response_body: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """What an account sent and what came back, masked. `rule` is empty where the backend names none.

    `reference` is our message's id. `verdict` is a word for the outcome, `consequence` a sentence about the message.
    """

    at: datetime
    verdict: str
    consequence: str
    error_code: str
    detail: str
    rule: str
    provider_message_id: str
    latency_ms: int
    reference: str = ""
    is_test: bool = False
    calls: Sequence[ExchangedCall] = field(default_factory=tuple)

    @property
    def is_accepted(self) -> bool:
        return self.verdict == ACCEPTED


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one send; `error` is None if the provider accepted the message."""

    error: errors.SendError | None
    provider_message_id: str
    latency_ms: int
    at: datetime
    is_test: bool = False


class _Sampler:
    """A few at once, one each second after that, for each key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[tuple[str, bool], float] = {}

    def admits(self, slug: str, *, is_accepted: bool) -> bool:
        now = time.monotonic()
        with self._lock:
            due = max(self._next.get((slug, is_accepted), 0.0), now - (BURST - 1) / PER_SECOND)
            if due > now:
                return False
            self._next[slug, is_accepted] = due + 1 / PER_SECOND
        return True


_sampler = _Sampler()


def describe(recording: Recording, outcome: Outcome, *, config: Mapping[str, Any], hides_text: bool = True) -> Exchange:
    """The exchange as it may be shown. `config` is the account's, as stored.

    Without `hides_text` the text stays in clear: for a test, whose reader wrote it.
    """
    secrets = {**_access_tokens(recording.calls), **secrets_of(config)}
    private = [value for call in recording.calls for value in call.private]
    mask = Mask(secrets, recording.message, hides_text=hides_text, private=private)
    verdict, consequence = _verdict(outcome.error)
    return Exchange(
        at=outcome.at,
        verdict=verdict,
        consequence=consequence,
        error_code="" if outcome.error is None else outcome.error.error_code,
        detail="" if outcome.error is None else _cut(mask(outcome.error.detail), MAX_LINE),
        rule=_cut(mask(recording.rule), MAX_LINE),
        provider_message_id=_cut(mask(outcome.provider_message_id), MAX_HEADER),
        latency_ms=outcome.latency_ms,
        reference="" if recording.message is None else recording.message.reference,
        is_test=outcome.is_test,
        calls=tuple(_masked(call, mask) for call in recording.calls[-MAX_CALLS:]),
    )


def keep(slug: str, recording: Recording, outcome: Outcome, *, config: Mapping[str, Any]) -> None:
    """Store the exchange, if its turn has come. Call it outside a transaction, after the send; it raises nothing.

    A call that was not made is not stored.
    """
    is_accepted = outcome.error is None
    if isinstance(outcome.error, (errors.NotCalled, errors.MediaRefused)):
        return
    if not outcome.is_test and not _sampler.admits(slug, is_accepted=is_accepted):
        return
    try:
        content = json.dumps(asdict(describe(recording, outcome, config=config)), default=datetime.isoformat)
    except Exception as fault:  # noqa: BLE001 (a fault in what is only shown must not change the result of a send)
        logger.error("an exchange of account %s could not be described: %s", slug, type(fault).__name__)
        return
    shared_state.ask(lambda client: _push(client, _key(slug, is_accepted=is_accepted), content), otherwise=None)


def recent(slug: str, *, since: datetime) -> list[Exchange]:
    """The latest exchanges from `since` on, newest first: ten, and of these five failures, if there are as many."""
    nothing: tuple[list[str], list[str]] = ([], [])
    contents = shared_state.ask(lambda client: _read(client, slug), otherwise=nothing)
    accepted, failed = ([each for each in map(_parsed, stored) if each and each.at >= since] for stored in contents)
    failed = _newest_first(failed)
    others = _newest_first([*accepted, *failed[FAILURES_SHOWN:]])
    return _newest_first([*failed[:FAILURES_SHOWN], *others][:KEPT])


def _verdict(error: errors.SendError | None) -> tuple[str, str]:
    if error is None:
        return ACCEPTED, "The message is sent."
    return next((word, text) for error_class, word, text in _VERDICTS if isinstance(error, error_class))


def _access_tokens(calls: Iterable[RecordedCall]) -> dict[str, str]:
    """What was fetched for these calls is in no configuration, and a provider may quote what it refuses."""
    headers = [str(call.headers.get("Authorization", "")) for call in calls]
    tokens = dict.fromkeys(each.removeprefix(BEARER) for each in headers if each.startswith(BEARER))
    return {f"access_token_{number}": token for number, token in enumerate(tokens, start=1)}


def _masked(call: RecordedCall, mask: Mask) -> ExchangedCall:
    return ExchangedCall(
        method=call.method,
        url=_shown(call.url, mask, MAX_URL),
        headers=_headers(call.headers.items(), mask),
        body=_shown(_text(call.body, call.headers), mask, MAX_BODY),
        status=call.status,
        response_headers=_headers(
            ((name, value) for name, value in call.response_headers.items() if name.lower() in RESPONSE_HEADERS), mask
        ),
        response_body=_shown(_text(call.response_body, call.response_headers), mask, MAX_BODY),
    )


def _headers(headers: Iterable[tuple[str, str | bytes]], mask: Mask) -> tuple[tuple[str, str], ...]:
    texts = ((name, value.decode("latin-1") if isinstance(value, bytes) else value) for name, value in headers)
    return tuple((name, _cut(mask.header(name, value), MAX_HEADER)) for name, value in texts)[:MAX_HEADERS]


def _text(body: bytes, headers: Any) -> str:
    content_type = next((str(value) for name, value in headers.items() if name.lower() == "content-type"), "")
    charset = content_type.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    try:
        return body.decode(charset or "utf-8", "replace")
    except (LookupError, UnicodeError):  # an unknown charset, or a codec that is none
        return body.decode("utf-8", "replace")


def _shown(content: str, mask: Mask, length: int) -> str:
    if len(content) <= MAX_MASKED:
        return _cut(mask(content), length)
    return _cut(f"{mask(content[:MAX_MASKED])[:-EDGE]}{CUT}", length)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - len(CUT)]}{CUT}"


def _key(slug: str, *, is_accepted: bool) -> str:
    return shared_state.key(slug, "exchanges", "accepted" if is_accepted else "failed")


def _push(client: redis.Redis, key: str, content: str) -> None:
    pipeline = client.pipeline(transaction=False)
    pipeline.lpush(key, content)
    pipeline.ltrim(key, 0, KEPT - 1)
    pipeline.expire(key, TTL_SECONDS)
    pipeline.execute()


def _read(client: redis.Redis, slug: str) -> tuple[list[str], list[str]]:
    pipeline = client.pipeline(transaction=False)
    for is_accepted in (True, False):
        pipeline.lrange(_key(slug, is_accepted=is_accepted), 0, KEPT - 1)
    accepted, failed = pipeline.execute()
    return accepted, failed


def _parsed(content: str) -> Exchange | None:
    """The stored exchange; None for one of another version of this program."""
    try:
        values = json.loads(content)
        calls = tuple(ExchangedCall(**call) for call in values["calls"])
        return Exchange(**{**values, "at": datetime.fromisoformat(values["at"]), "calls": calls})
    except (ValueError, TypeError, KeyError):
        return None


def _newest_first(exchanges: Iterable[Exchange]) -> list[Exchange]:
    return sorted(exchanges, key=lambda each: each.at, reverse=True)
