"""Starts the SMPP carrier with the login of the environment."""

import os

from providers.simulator.request_log import RequestLog
from providers.simulator.smpp.carrier import CarrierLogin, SmppCarrier
from providers.simulator.smpp.server import SmppCarrierServer
from providers.simulator.smpp.settings import SmppCarrierSettings


def start(address: tuple[str, int], request_log: RequestLog, *, receipt_delay_ms: float) -> SmppCarrierServer:
    """Raises `OSError` for an address that cannot be listened on, `ValueError` for a setting out of its range."""
    login = CarrierLogin(
        os.environ.get("SANDBOX_SMPP_SYSTEM_ID") or "sandbox", os.environ.get("SANDBOX_SMPP_PASSWORD") or "sandbox"
    )
    settings = SmppCarrierSettings().changed({"receipt_delay_ms": receipt_delay_ms})
    return SmppCarrierServer(address, SmppCarrier(login, request_log=request_log, settings=settings))
