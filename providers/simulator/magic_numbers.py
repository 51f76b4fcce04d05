"""The sandbox's magic numbers: each makes the carriers behave in one special way. None of them belongs to anybody."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class MagicResponse(StrEnum):
    """What happens to the call that hands the text over."""

    ANSWER = "answer"
    ALWAYS_FAIL = "always_fail"
    FAIL_ONCE = "fail_once"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One number's way. `receipts` are posted in this order, each after the one before it has arrived."""

    call: MagicResponse = MagicResponse.ANSWER
    receipts: tuple[str, ...] = ("delivered",)
    receipt_first: bool = False


ORDINARY = Behaviour()
MAGIC_NUMBERS: Mapping[str, Behaviour] = {
    "+15005559901": Behaviour(receipts=("failed",)),
    "+15005559902": Behaviour(receipts=("invalid",)),
    "+15005559903": Behaviour(call=MagicResponse.ALWAYS_FAIL, receipts=()),
    "+15005559904": Behaviour(call=MagicResponse.FAIL_ONCE),
    "+15005559905": Behaviour(call=MagicResponse.HANG, receipts=()),
    "+15005559906": Behaviour(receipts=("delivered", "delivered")),
    "+15005559907": Behaviour(receipt_first=True),
    "+15005559908": Behaviour(receipts=("delivered", "failed")),
    "+15005559909": Behaviour(receipts=()),
}


def behaviour_of(number: str) -> Behaviour:
    return MAGIC_NUMBERS.get(number, ORDINARY)
