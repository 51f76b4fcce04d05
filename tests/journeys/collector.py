"""A stand-in for an OpenTelemetry collector that records what it receives."""

import gzip

from tests.journeys.local_server import LocalServer, QuietHandler


class Collector(LocalServer):
    """A context manager. `received` holds the bodies, as plain bytes."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        collector = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:  # noqa: N802 (the name that its base class calls)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.received.append(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

        super().__init__(Handler)
