"""The sandbox's magic numbers, each with one special behaviour. They are not assigned to subscribers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class MagicResponse(StrEnum):
    """How a carrier responds to the call that sends the message."""

    ANSWER = "answer"
    ALWAYS_FAIL = "always_fail"
    FAIL_ONCE = "fail_once"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The behaviour for one number. `receipts` are posted in this order, each after the previous one was accepted."""

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
