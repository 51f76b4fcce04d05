"""Every status of a carrier is an error of the catalogue, and keeps its own name."""

import pytest

from providers.errors import (
    CredentialsRefused,
    OutcomeUnknown,
    RateLimited,
    RecipientInvalid,
    Refused,
    SendError,
    Unavailable,
)
from providers.smpp.constants import CommandStatus
from providers.smpp.outcomes import BIND_OUTCOMES, bind_fault, submit_fault


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (0x58, RateLimited, "provider_rate_limited"),
        (0x14, RateLimited, "provider_rate_limited"),
        (0x0B, RecipientInvalid, "recipient_invalid"),
        (0x0E, CredentialsRefused, "provider_credentials_refused"),
        (0x0F, CredentialsRefused, "provider_credentials_refused"),
        (0x0D, CredentialsRefused, "provider_credentials_refused"),
        (0x04, Unavailable, "smpp_0x04"),
        (0x08, Unavailable, "smpp_0x08"),
        (0x64, Unavailable, "smpp_0x64"),
        (0x45, Refused, "smpp_0x45"),
        (0x0A, Refused, "smpp_0x0a"),
        (0x50, Refused, "smpp_0x50"),
        (0x65, Refused, "smpp_0x65"),
        (0xFF, Refused, "smpp_0xff"),
        (0x400, Refused, "smpp_0x400"),
        (0xFFFFFFFF, Refused, "smpp_0xffffffff"),
    ],
)
def test_a_status_is_the_error_of_its_row(status: int, error: type[SendError], code: str) -> None:
    fault = submit_fault(status)

    assert (type(fault), fault.error_code) == (error, code)
    assert f"0x{status:08x}" in fault.detail


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (0x58, "the carrier wants fewer messages a second (ESME_RTHROTTLED, 0x00000058)"),
        (0x400, "the carrier refuses the text by a code of its own (0x00000400)"),
    ],
)
def test_the_detail_has_the_carriers_own_status(status: int, detail: str) -> None:
    assert submit_fault(status).detail == detail


def test_no_status_is_an_unknown_outcome_and_no_code_is_longer_than_its_column() -> None:
    for status in [*CommandStatus, 0x400, 0xFFFFFFFF]:
        fault = submit_fault(status)

        assert not isinstance(fault, OutcomeUnknown)
        assert len(fault.error_code) <= 64


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0x0E, CredentialsRefused),
        (0x0F, CredentialsRefused),
        (0x0D, CredentialsRefused),
        (0x53, CredentialsRefused),
        (0x58, RateLimited),
        (0x05, Unavailable),
        (0x08, Unavailable),
        (0x45, Unavailable),
        (0x400, Unavailable),
    ],
)
def test_a_refused_bind_needs_an_operator_only_where_it_is_about_the_account(
    status: int, error: type[SendError]
) -> None:
    assert type(bind_fault(status)) is error


def test_no_bind_is_a_fault_of_a_text() -> None:
    assert not [status for status, (error, _) in BIND_OUTCOMES.items() if issubclass(error, Refused | RecipientInvalid)]
