"""`python -m providers.simulator`: the process with two simulated carriers.

With `--smpp-port` a third one speaks SMPP. Its login is `sandbox` with the password `sandbox`, or SANDBOX_SMPP_SYSTEM_ID and
SANDBOX_SMPP_PASSWORD of the environment.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from providers.simulator.carrier import CarrierSettings, Sandbox
from providers.simulator.receipts import ReceiptPoster
from providers.simulator.request_log import RequestLog
from providers.simulator.server import SandboxServer

if TYPE_CHECKING:
    from providers.simulator.smpp.server import SmppCarrierServer


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m providers.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one; the first line printed names it")
    parser.add_argument(
        "--smpp-port", type=int, default=None, help="the SMPP carrier; 0 takes a free port (default: none)"
    )
    parser.add_argument("--latency-ms", type=float, default=50, help="time to answer a call")
    parser.add_argument(
        "--latency-jitter-ms", type=float, default=30, help="the latency varies by this much in both directions"
    )
    parser.add_argument("--receipt-delay-ms", type=float, default=500, help="time from the response to the receipt")
    parser.add_argument("--hang-ms", type=float, default=15_000, help="how long the number that hangs takes to answer")
    parser.add_argument("--failure-rate1", type=float, default=0.0, help="share of 500s from provider1")
    parser.add_argument("--failure-rate2", type=float, default=0.0, help="share of 500s from provider2")
    parser.add_argument("--log", type=Path, default=None, help="append every call to this file as a line of JSON")
    return parser.parse_args(argv)


def _settings(arguments: argparse.Namespace) -> dict[str, CarrierSettings]:
    """Raises `ValueError` for a value out of its range."""
    common = {
        "latency_ms": arguments.latency_ms,
        "latency_jitter_ms": arguments.latency_jitter_ms,
        "receipt_delay_ms": arguments.receipt_delay_ms,
        "hang_ms": arguments.hang_ms,
    }
    return {
        "provider1": CarrierSettings().changed({**common, "failure_rate": arguments.failure_rate1}),
        "provider2": CarrierSettings().changed({**common, "failure_rate": arguments.failure_rate2}),
    }


def _smpp(arguments: argparse.Namespace, request_log: RequestLog) -> "SmppCarrierServer | None":
    """Imported only where it is wanted: it takes memory."""
    if arguments.smpp_port is None:
        return None
    server: SmppCarrierServer = import_module("providers.simulator.smpp.start").start(
        (arguments.host, arguments.smpp_port), request_log, receipt_delay_ms=arguments.receipt_delay_ms
    )
    return server


def main(argv: Sequence[str]) -> int:
    arguments = _arguments(argv)
    try:
        settings = _settings(arguments)
        request_log = RequestLog(arguments.log)
        sandbox = Sandbox(
            settings, request_log=request_log, receipts=ReceiptPoster(), smpp=_smpp(arguments, request_log)
        )
        server = SandboxServer((arguments.host, arguments.port), sandbox)
    except (ValueError, OSError, OverflowError) as error:
        sys.stderr.write(f"sandbox carriers: {error}\n")
        return 1
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"sandbox carriers on http://{arguments.host}:{server.server_port}\n")
    if sandbox.smpp:
        sys.stdout.write(f"SMPP carrier on {arguments.host}:{sandbox.smpp.port}\n")
    sys.stdout.flush()
    stop.wait()
    request_log.close()
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # does not wait for hanging calls and pending receipts
