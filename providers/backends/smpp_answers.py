"""What the response of an SMPP connector means."""

import json
from collections.abc import Sequence
from typing import Any, Final

from providers import exchanges
from providers.backends.payload import at_path, identifier, read_json
from providers.contract.messages import Accepted
from providers.errors import CredentialsRefused, Misconfigured, OutcomeUnknown, RateLimited, SendError, Unavailable
from providers.http.transport import HttpResponse
from providers.smpp.constants import CommandStatus, status_name
from providers.smpp.outcomes import submit_fault

WINDOW_PAUSE_SECONDS: Final = 1.0
MAX_DETAIL: Final = 200
NO_ANSWER: Final = "no answer"
_WRITTEN, _UNAUTHORIZED, _NOT_WRITTEN = 200, 401, 503
_CLIENT_ERRORS = range(400, 500)
# Of several connectors' refusals the first class that one has says most: a full window is one of a bind that works.
_TELLING: Final[Sequence[type[Unavailable]]] = (RateLimited, CredentialsRefused)


def not_written(response: HttpResponse) -> Unavailable | None:
    """The error for a response by which nothing was written; None for any other."""
    if response.status == _UNAUTHORIZED:
        return Misconfigured("the SMPP connector has another SECRET_KEY")
    if response.status != _NOT_WRITTEN and response.status not in _CLIENT_ERRORS:
        return None
    content = _content(response)
    error, detail = (_word(at_path(content, name)) for name in ("error", "detail"))
    exchanges.decided_by(f"the connector wrote nothing: {error or response.status}")
    match error:
        case "no_bind":
            return Unavailable(f"no bind: {detail}" if detail else "no bind is up", code="no_bind")
        case "window_full":
            return RateLimited("the window of every bind is full", retry_after=WINDOW_PAUSE_SECONDS)
        case "credentials":
            return CredentialsRefused(
                f"the carrier refuses the bind: {detail}" if detail else "the carrier refuses the bind"
            )
        case _:
            return Unavailable(f"the SMPP connector answered {response.status}", code="smpp_connector")


def most_telling(faults: Sequence[Unavailable]) -> Unavailable:
    """Of the faults of all connectors, the one to act on."""
    for kind in _TELLING:
        for fault in faults:
            if isinstance(fault, kind):
                return fault
    return next((fault for fault in faults if fault.error_code == "no_bind"), faults[0])


def accepted(response: HttpResponse, *, parts: int) -> Accepted:
    """The ids of all parts, if the carrier accepted all. An accepted part without an id is accepted."""
    if response.status != _WRITTEN:
        raise OutcomeUnknown(f"the SMPP connector answered {response.status}")
    answers = _answers(response)
    if len(answers) != parts:
        raise OutcomeUnknown("the response of the SMPP connector cannot be read")
    exchanges.decided_by(", ".join(_shown(status) for status, _ in answers[:1]))
    fault = _fault([status for status, _ in answers])
    if fault is not None:
        raise fault
    ids = tuple(message_id for _, message_id in answers)
    return Accepted(ids[0], part_ids=ids if len(ids) > 1 else ())


def described(response: HttpResponse) -> bytes:
    """The carrier's answers for the account's page; what is none as it came."""
    if response.status != _WRITTEN:
        return response.body
    try:
        answers = _answers(response)
    except OutcomeUnknown:
        return response.body
    shown = [{"command_status": _shown(status), "message_id": message_id} for status, message_id in answers]
    return json.dumps(shown).encode()


def _fault(statuses: Sequence[int | None]) -> SendError | None:
    """The connector writes the first part alone, and the others once it is accepted."""
    first = statuses[0]
    if all(status == CommandStatus.ROK for status in statuses):
        return None
    if CommandStatus.ROK in statuses:
        return OutcomeUnknown("the carrier accepted only a part of the text", code="partly_accepted")
    if first is None:
        return OutcomeUnknown("the carrier did not answer in time, or the connection to it ended")
    return submit_fault(first)


def _answers(response: HttpResponse) -> list[tuple[int | None, str]]:
    """Status and id for each part; the status is None where the carrier did not answer. Raises `OutcomeUnknown`."""
    answers = at_path(_content(response), "responses")
    if not isinstance(answers, list):
        raise OutcomeUnknown("the response of the SMPP connector cannot be read")
    return [_answer(each) for each in answers]


def _answer(value: Any) -> tuple[int | None, str]:
    if value is None:
        return None, ""
    status, message_id = at_path(value, "status"), at_path(value, "id")
    if type(status) is not int or not isinstance(message_id, str):
        raise OutcomeUnknown("the response of the SMPP connector cannot be read")
    return status, identifier(message_id) if message_id.isprintable() else ""


def _content(response: HttpResponse) -> Any:
    try:
        return read_json(response.body)
    except ValueError:
        return None


def _shown(status: int | None) -> str:
    return NO_ANSWER if status is None else status_name(status)


def _word(value: Any) -> str:
    return value[:MAX_DETAIL] if isinstance(value, str) and value.isprintable() else ""
