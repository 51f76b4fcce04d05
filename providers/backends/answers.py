"""What a response of `generic_http` means: the account's own rules first, then its HTTP status."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from providers.backends.payload import read_content, values_at, word
from providers.contract.config_types import Part, Path
from providers.errors import (
    AccountRefused,
    CredentialsRefused,
    OutcomeUnknown,
    OutOfCredit,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Refused,
    Rejected,
    SendError,
    Unavailable,
)
from providers.http.transport import HttpResponse

# A pattern is tried on so many characters of the body: what a pattern costs grows with them.
MAX_SEARCHED = 4096
# A provider's own code: not a number of a person, and nothing that a log must not have.
SAFE_CODE = re.compile(r"(?=.{1,40}\Z)[A-Za-z0-9_.:-]*[A-Za-z_.:-][A-Za-z0-9_.:-]*|[0-9]{1,6}", re.ASCII)
CONFLICT, TOO_MANY = 409, 429
# A rule without `status` does not fit these: what a proxy writes is not what the provider means.
SERVER_ERRORS = 500
# What a status of 4xx says that the configuration does not list; any other one refuses the text.
REFUSALS: Mapping[int, type[Unavailable]] = {401: CredentialsRefused, 402: OutOfCredit, 403: AccountRefused}


class AnswerOutcome(StrEnum):
    """What a rule may say of a response."""

    ACCEPTED = "accepted"
    UNAVAILABLE = "unavailable"
    RATE_LIMITED = "rate_limited"
    CREDENTIALS = "credentials"
    REJECTED = "rejected"
    RECIPIENT_INVALID = "recipient_invalid"
    RECIPIENT_OPTED_OUT = "recipient_opted_out"
    UNKNOWN = "unknown"


ERRORS: Mapping[AnswerOutcome, Callable[[str], SendError]] = {
    AnswerOutcome.CREDENTIALS: CredentialsRefused,
    AnswerOutcome.REJECTED: Refused,
    AnswerOutcome.RECIPIENT_INVALID: RecipientInvalid,
    AnswerOutcome.RECIPIENT_OPTED_OUT: RecipientOptedOut,
    AnswerOutcome.UNKNOWN: OutcomeUnknown,
}


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return value


Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_pattern)]
AnyStatus = Annotated[int, Field(ge=100, le=599, strict=True)]


class AnswerRule(Part):
    """One rule: what must be true of the response, and what it then means.

    `status`: one of these HTTP statuses; without it any below 500. `path` with `in`: one of the values there is one of these;
    with `exists`: there is a value, or none. `text`: the pattern is found in the body. `code`: where the provider's own code
    is.
    """

    status: tuple[AnyStatus, ...] = ()
    path: Path | None = None
    one_of: tuple[str | int | float | bool, ...] | None = Field(default=None, alias="in")
    exists: bool | None = Field(default=None, strict=True)
    text: Pattern | None = None
    outcome: AnswerOutcome
    code: Path | None = None

    @model_validator(mode="after")
    def _says_when_it_fits(self) -> Self:
        if (self.path is not None) != (self.one_of is not None or self.exists is not None):
            raise ValueError('a path needs "in" or "exists", and these need a path')
        if not self.status and self.path is None and self.text is None:
            raise ValueError("a rule needs status, path or text")
        return self

    @property
    def condition(self) -> str:
        """What the rule looks for, as its author wrote it."""
        parts = [f"status {', '.join(map(str, self.status))}"] if self.status else []
        if self.one_of is not None:
            parts.append(f"{self.path} in {json.dumps(self.one_of)}")
        if self.exists is not None:
            parts.append(f"{self.path} {'exists' if self.exists else 'does not exist'}")
        if self.text is not None:
            parts.append(f"text {self.text}")
        return " and ".join(parts)

    def fits(self, answer: "ParsedResponse") -> bool:
        if answer.status not in self.status if self.status else answer.status >= SERVER_ERRORS:
            return False
        if self.text is not None and re.search(self.text, answer.text) is None:
            return False
        return self.path is None or self._fits_value(answer.at(self.path))

    def _fits_value(self, found: list[Any]) -> bool:
        if self.exists is not None and any(value not in (None, "", [], {}) for value in found) is not self.exists:
            return False
        return self.one_of is None or bool({word(value) for value in found} & set(map(word, self.one_of)) - {""})


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """A response as rules see it. `content` is None where the body is neither JSON, XML nor a form."""

    response: HttpResponse
    content: Any
    text: str

    @classmethod
    def of(cls, response: HttpResponse) -> Self:
        content_type = response.headers.get("content-type", "")
        try:
            # Many providers label JSON or XML as text or HTML.
            content = read_content(response.body, "" if content_type.startswith("text/") else content_type)
        except ValueError:
            content = None
        return cls(response, content, response.body[:MAX_SEARCHED].decode(errors="replace"))

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def retry_after(self) -> float | None:
        return self.response.retry_after(datetime.now(UTC))

    def at(self, path: str) -> list[Any]:
        return list(values_at(self.content, path))


@dataclass(frozen=True, slots=True)
class ResponseMeaning:
    """What a response means, and the rule that says so. `error` is None if the provider accepted the message."""

    rule: str
    error: SendError | None = None


def by_rules(rules: tuple[AnswerRule, ...], answer: ParsedResponse) -> ResponseMeaning | None:
    """The verdict of the first rule that fits, None if none does."""
    for number, rule in enumerate(rules):
        if rule.fits(answer):
            return ResponseMeaning(f"answer[{number}]: {rule.condition}", _error(rule, answer))
    return None


def _error(rule: AnswerRule, answer: ParsedResponse) -> SendError | None:
    given = next((word(value) for value in answer.at(rule.code)), "") if rule.code else ""
    code = f" with the code {given}" if SAFE_CODE.fullmatch(given) else ""
    detail = f"the provider answered {answer.status}{code}: {rule.outcome.replace('_', ' ')}"
    if rule.outcome is AnswerOutcome.ACCEPTED:
        return None
    if rule.outcome is AnswerOutcome.RATE_LIMITED:
        return RateLimited(detail, retry_after=answer.retry_after)
    if rule.outcome is AnswerOutcome.UNAVAILABLE:
        return Unavailable(detail, retry_after=answer.retry_after)
    return ERRORS[rule.outcome](detail)


def by_status(
    answer: ParsedResponse,
    *,
    accepted: frozenset[int],
    unavailable: frozenset[int],
    rejected: Mapping[int, str],
    is_repeat_known: bool = False,
) -> ResponseMeaning:
    """The verdict of the HTTP status alone. `is_repeat_known`: the provider recognises a repeat, and 409 may be its word."""
    status, detail = answer.status, f"the provider answered {answer.status}"
    if status in accepted:
        return ResponseMeaning(f"status {status}: accepted")
    if status == CONFLICT and is_repeat_known and status not in {*rejected, *unavailable}:
        return ResponseMeaning(
            f"status {status}: a repeat", OutcomeUnknown(f"{detail}: it may have the message already")
        )
    error = _error_of_status(status, detail, answer, unavailable, rejected)
    return ResponseMeaning(f"status {status}: {error.code}", error)


def _error_of_status(
    status: int, detail: str, answer: ParsedResponse, unavailable: frozenset[int], rejected: Mapping[int, str]
) -> SendError:
    if status in rejected:
        code = rejected[status]
        kinds: Mapping[str, type[Rejected]] = {kind.code: kind for kind in (RecipientInvalid, RecipientOptedOut)}
        return kinds.get(code, Rejected)(detail, code=code)
    if status == TOO_MANY:
        return RateLimited(detail, retry_after=answer.retry_after)
    if status in unavailable:
        return Unavailable(detail, retry_after=answer.retry_after)
    if 400 <= status <= 499:  # noqa: PLR2004 (the class of statuses that refuse a request)
        return REFUSALS.get(status, Refused)(detail)
    return OutcomeUnknown(detail)
