"""Two simulated carriers: they accept or refuse messages, and post receipts. A third one speaks SMPP, if it was started."""

import random
import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from providers.simulator.magic_numbers import Behaviour, MagicResponse, behaviour_of
from providers.simulator.receipts import ReceiptPoster, SimulatedReceipt
from providers.simulator.request_log import RequestLog

if TYPE_CHECKING:  # it takes memory, and most sandboxes have none
    from providers.simulator.smpp.server import SmppCarrierServer
    from providers.simulator.smpp.settings import SmppCarrierSettings

SMPP = "smpp"
CARRIERS = ("provider1", "provider2")
MAX_REMEMBERED = 200_000
MAX_INBOX = 500

LIMITS: Mapping[str, tuple[float, float]] = {
    "latency_ms": (0, 60_000),
    "latency_jitter_ms": (0, 60_000),
    "receipt_delay_ms": (0, 3_600_000),
    "hang_ms": (0, 600_000),
    "failure_rate": (0, 1),
}


@dataclass(frozen=True, slots=True)
class CarrierSettings:
    latency_ms: float = 50
    latency_jitter_ms: float = 30
    receipt_delay_ms: float = 500
    hang_ms: float = 15_000
    failure_rate: float = 0.0

    def changed(self, changes: Any) -> "CarrierSettings":
        """A copy with these values. Raises `ValueError` for an unknown name or a value out of its range."""
        if not isinstance(changes, dict):
            raise ValueError("a carrier's settings are an object")  # noqa: TRY004 (callers catch one class)
        for name, value in changes.items():
            if name not in LIMITS:
                raise ValueError(f"unknown setting; known: {', '.join(LIMITS)}")
            low, high = LIMITS[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ValueError(f"{name} must be a number from {low} to {high}")
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class TextRequest:
    to: str
    message: str
    callback_url: str
    reference: str


class Sandbox:
    """Both carriers. `hand_over` takes as long as the carrier does; it returns the status and the body of the response."""

    def __init__(
        self,
        settings: Mapping[str, CarrierSettings],
        *,
        request_log: RequestLog,
        receipts: ReceiptPoster,
        smpp: "SmppCarrierServer | None" = None,
    ) -> None:
        self._settings = {carrier: settings.get(carrier, CarrierSettings()) for carrier in CARRIERS}
        self._lock = threading.Lock()
        self._failed_once: OrderedDict[str, None] = OrderedDict()
        self._inbox: deque[dict[str, str | float]] = deque(maxlen=MAX_INBOX)
        self.request_log = request_log
        self.receipts = receipts
        self.smpp = smpp

    def settings(self) -> dict[str, CarrierSettings]:
        with self._lock:
            return dict(self._settings)

    def all_settings(self) -> "dict[str, CarrierSettings | SmppCarrierSettings]":
        with self._lock:
            return {**self._settings, **({SMPP: self.smpp.carrier.settings} if self.smpp else {})}

    def change(self, changes: Any) -> None:
        """Apply all changes or none. Raises `ValueError` with the reason."""
        known = (*CARRIERS, SMPP) if self.smpp else CARRIERS
        if not isinstance(changes, dict) or not set(changes) <= set(known):
            raise ValueError(f"send an object with any of: {', '.join(known)}")
        with self._lock:
            changed = {
                carrier: self._settings[carrier].changed(values)
                for carrier, values in changes.items()
                if carrier in CARRIERS
            }
            if self.smpp and SMPP in changes:
                self.smpp.carrier.settings = self.smpp.carrier.settings.changed(changes[SMPP])
            self._settings.update(changed)

    def inbox(self, number: str) -> list[dict[str, str | float]]:
        """The newest texts that the HTTP carriers accepted, newest first: those of one number, or of all for an empty one."""
        with self._lock:
            texts = list(self._inbox)
        return [text for text in reversed(texts) if not number or text["to"] == number]

    def hand_over(self, carrier: str, request: TextRequest) -> tuple[int, dict[str, str]]:
        settings = self.settings()[carrier]
        behaviour = behaviour_of(request.to)
        _wait(settings.latency_ms + random.uniform(-1, 1) * settings.latency_jitter_ms)  # noqa: S311 (not a secret)
        reason = self._refusal(settings, behaviour, request)
        if reason:
            self.request_log.refuse(
                carrier=carrier, reference=request.reference, to=request.to, status_code=500, reason=reason
            )
            return 500, {"error": reason}
        return 200, {"message_id": self._accept(carrier, settings, behaviour, request)}

    def _accept(self, carrier: str, settings: CarrierSettings, behaviour: Behaviour, request: TextRequest) -> str:
        message_id = str(uuid.uuid4())
        self.request_log.accept(
            carrier=carrier, message_id=message_id, reference=request.reference, to=request.to, status_code=200
        )
        with self._lock:
            self._inbox.append({"to": request.to, "message": request.message, "at": time.time()})
        receipt = SimulatedReceipt(request.callback_url, message_id, behaviour.receipts if request.callback_url else ())
        if behaviour.receipt_first and receipt.statuses:
            self.receipts.post_now(receipt)
        else:
            self.receipts.schedule(receipt, delay=settings.receipt_delay_ms / 1000)
        if behaviour.call is MagicResponse.HANG:
            _wait(settings.hang_ms)
        return message_id

    def _refusal(self, settings: CarrierSettings, behaviour: Behaviour, request: TextRequest) -> str:
        if behaviour.call is MagicResponse.ALWAYS_FAIL:
            return "this number always fails"
        if behaviour.call is MagicResponse.FAIL_ONCE and self._is_first(request):
            return "this number fails once"
        if random.random() < settings.failure_rate:  # noqa: S311 (not a secret)
            return "a random failure"
        return ""

    def _is_first(self, request: TextRequest) -> bool:
        """Whether no carrier got this message before. Without a reference, number and text identify it."""
        key = request.reference or str(hash((request.to, request.message)))
        with self._lock:
            if key in self._failed_once:
                return False
            self._failed_once[key] = None
            if len(self._failed_once) > MAX_REMEMBERED:
                self._failed_once.popitem(last=False)
            return True


def _wait(milliseconds: float) -> None:
    if milliseconds > 0:
        time.sleep(milliseconds / 1000)
