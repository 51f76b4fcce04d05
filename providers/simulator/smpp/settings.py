"""How the simulated SMPP carrier behaves. Settings change while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

ID_FORMS: Final = ("hex", "upper_hex", "padded_hex", "decimal", "padded_decimal")
RECEIPT_FORMS: Final = ("text_and_tlvs", "text", "tlvs")
ALPHABETS: Final = ("gsm7", "gsm7_packed", "latin1", "ascii")
STEPS: Final = ("bind", "bound", "submit", "accepted", "answered", "receipt")
"""Where the carrier can close the link: it read a bind; it answered one; it read a `submit_sm`, which it drops; it accepted one
without an answer; it answered one; it wrote a receipt."""

LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "latency_ms": (0, 60_000),
    "receipt_delay_ms": (0, 3_600_000),
    "failure_rate": (0, 1),
    "throttle_rate": (0, 1),
    "close_every": (0, 1_000_000),
}
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "close_at": STEPS,
    "response_ids": ID_FORMS,
    "receipt_ids": ID_FORMS,
    "receipt_form": RECEIPT_FORMS,
    "default_alphabet": ALPHABETS,
}


@dataclass(frozen=True, slots=True)
class SmppCarrierSettings:
    """The link is closed when PDUs have reached the step `close_at` for the `close_every`th time; 0 is never."""

    latency_ms: float = 0
    receipt_delay_ms: float = 500
    failure_rate: float = 0.0
    throttle_rate: float = 0.0
    close_at: str = "answered"
    close_every: float = 0
    response_ids: str = "hex"
    receipt_ids: str = "hex"
    receipt_form: str = "text_and_tlvs"
    default_alphabet: str = "gsm7"

    def changed(self, changes: Any) -> "SmppCarrierSettings":
        """A copy with these values. Raises `ValueError` for an unknown name or a value that is not allowed."""
        if not isinstance(changes, dict):
            raise ValueError("a carrier's settings are an object")  # noqa: TRY004 (callers catch one class)
        for name, value in changes.items():
            if name in CHOICES:
                if value not in CHOICES[name]:
                    raise ValueError(f"{name} must be one of {', '.join(CHOICES[name])}")
            elif name in LIMITS:
                low, high = LIMITS[name]
                if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                    raise ValueError(f"{name} must be a number from {low} to {high}")
            else:
                raise ValueError(f"unknown setting; known: {', '.join((*LIMITS, *CHOICES))}")
        return replace(self, **changes)


def written_id(number: int, form: str) -> str:
    """The id of a message in one of `ID_FORMS`."""
    match form:
        case "upper_hex":
            return f"{number:X}"
        case "padded_hex":
            return f"{number:016x}"
        case "decimal":
            return str(number)
        case "padded_decimal":
            return f"{number:020}"
        case _:
            return f"{number:x}"
