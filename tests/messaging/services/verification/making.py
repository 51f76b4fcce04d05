"""Verifications for tests."""

from typing import Any

from messaging.models import Verification
from messaging.services.outbound import verification_codes
from messaging.services.verification.start import Started, VerificationInput, start
from tests.factories import NOW

TO = "+14155550101"


def begin(owner: Any, *, now: Any = NOW, to: str = TO, **fields: Any) -> Started:
    return start(owner=owner, draft=VerificationInput(to=to, **fields), default_queue="express", now=now)


def code_of(row: Verification) -> str:
    """The code, as the one who reads the text knows it."""
    slot = verification_codes.slot_of(row)
    assert slot is not None
    [offset, *_] = slot.offsets
    return slot.fill(row.text)[offset : offset + row.code_length]


def wrong(code: str, step: int = 1) -> str:
    return f"{(int(code) + step) % 10 ** len(code):0{len(code)}}"
