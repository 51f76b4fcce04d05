"""What a carrier's `command_status` means for a message, and at a bind.

| status of `submit_sm_resp` | class | why |
| --- | --- | --- |
| RTHROTTLED, RMSGQFUL | `RateLimited` | slow down |
| RINVDSTADR | `RecipientInvalid` | the number cannot be reached, by any account |
| RINVPASWD, RINVSYSID, RBINDFAIL | `CredentialsRefused` | an operator has to act |
| RINVBNDSTS, RALYBND, RINVSYSTYP | `Unavailable` | about the bind, not about the text |
| RSYSERR, RX_T_APPN | `Unavailable` | a fault of the carrier, like HTTP 500 and 503: provably not accepted |
| every other, also of the carrier's own range | `Refused` | this text to this recipient; another account may carry it |

A status other than 0 is a refusal by the standard: the message has no id, so the outcome is never unknown. A wrong type of
number (RINVDSTTON, RINVDSTNPI) or an unknown sender (RINVSRCADR) says nothing about the number. An unknown error (RUNKNOWNERR)
and the numbers that a carrier makes up are refusals of the text, because those never close an account for all others.
Source: SMPP 3.4, section 5.1.3.
"""

from collections.abc import Mapping
from typing import Final

from providers.errors import (
    CredentialsRefused,
    RateLimited,
    RecipientInvalid,
    Refused,
    SendError,
    Unavailable,
)
from providers.smpp.constants import CommandStatus, status_name

S = CommandStatus
# The class and a sentence, which the carrier's own status follows.
SUBMIT_OUTCOMES: Final[Mapping[int, tuple[type[SendError], str]]] = {
    S.RTHROTTLED: (RateLimited, "the carrier wants fewer messages a second"),
    S.RMSGQFUL: (RateLimited, "the carrier's queue is full"),
    S.RINVDSTADR: (RecipientInvalid, "the carrier does not know the recipient's number"),
    S.RINVPASWD: (CredentialsRefused, "the carrier refuses the password"),
    S.RINVSYSID: (CredentialsRefused, "the carrier does not know the system_id"),
    S.RBINDFAIL: (CredentialsRefused, "the carrier refuses the bind"),
    S.RINVBNDSTS: (Unavailable, "the bind is not one that may send"),
    S.RALYBND: (Unavailable, "the carrier has a bind of this system_id already"),
    S.RINVSYSTYP: (Unavailable, "the carrier refuses the system_type"),
    S.RSYSERR: (Unavailable, "the carrier has a fault"),
    S.RX_T_APPN: (Unavailable, "the carrier has a fault for now"),
    S.RINVMSGLEN: (Refused, "the carrier refuses the length of the text"),
    S.RINVCMDLEN: (Refused, "the carrier refuses the length of the message"),
    S.RINVCMDID: (Refused, "the carrier does not take messages of this kind"),
    S.RINVPRTFLG: (Refused, "the carrier refuses the priority"),
    S.RINVREGDLVFLG: (Refused, "the carrier sends no receipts of this kind"),
    S.RINVSRCADR: (Refused, "the carrier refuses the sender"),
    S.RINVSRCTON: (Refused, "the carrier refuses the type of the sender's number"),
    S.RINVSRCNPI: (Refused, "the carrier refuses the numbering plan of the sender"),
    S.RINVDSTTON: (Refused, "the carrier refuses the type of the recipient's number"),
    S.RINVDSTNPI: (Refused, "the carrier refuses the numbering plan of the recipient"),
    S.RINVSERTYP: (Refused, "the carrier refuses the service type"),
    S.RINVESMCLASS: (Refused, "the carrier does not take long texts in this form"),
    S.RSUBMITFAIL: (Refused, "the carrier refuses the text"),
    S.RINVEXPIRY: (Refused, "the carrier refuses the validity"),
    S.RX_P_APPN: (Refused, "the carrier refuses the text for good"),
    S.RX_R_APPN: (Refused, "the carrier refuses the text"),
    S.ROPTPARNOTALLWD: (Refused, "the carrier does not take an optional parameter"),
    S.RINVOPTPARAMVAL: (Refused, "the carrier refuses the value of an optional parameter"),
    S.RDELIVERYFAILURE: (Refused, "the carrier could not deliver the text"),
    S.RUNKNOWNERR: (Refused, "the carrier gives no reason"),
}
# At a bind nothing was sent, and refusals are about the account.
BIND_OUTCOMES: Final[Mapping[int, tuple[type[SendError], str]]] = {
    **{status: SUBMIT_OUTCOMES[status] for status in (S.RINVPASWD, S.RINVSYSID, S.RBINDFAIL, S.RTHROTTLED, S.RALYBND)},
    S.RINVSYSTYP: (CredentialsRefused, "the carrier refuses the system_type"),
    S.RSYSERR: SUBMIT_OUTCOMES[S.RSYSERR],
    S.RX_T_APPN: SUBMIT_OUTCOMES[S.RX_T_APPN],
}


def submit_fault(status: int) -> SendError:
    """The error for the status of a `submit_sm_resp` that does not accept. Its code is `smpp_` and the status."""
    error, sentence = SUBMIT_OUTCOMES.get(status, (Refused, "the carrier refuses the text by a code of its own"))
    return _error(error, sentence, status)


def bind_fault(status: int) -> SendError:
    """The error for the status of the response to a bind: `CredentialsRefused`, `RateLimited` or `Unavailable`."""
    error, sentence = BIND_OUTCOMES.get(status, (Unavailable, "the carrier refuses the bind by a code of its own"))
    return _error(error, sentence, status)


def _error(error: type[SendError], sentence: str, status: int) -> SendError:
    """Those that have a code of their own in the whole program keep it; the detail has the carrier's in any case."""
    is_named = error not in (Refused, Unavailable)
    return error(f"{sentence} ({_shown(status)})", code=None if is_named else f"smpp_0x{status:02x}")


def _shown(status: int) -> str:
    name, number = status_name(status), f"0x{status:08x}"
    return number if name == number else f"{name}, {number}"
