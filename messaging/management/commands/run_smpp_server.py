"""Run the SMPP server for clients."""

import signal
import ssl
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from messaging.smpp_server.server import ServerOptions, SmppServer, serve


class Command(BaseCommand):
    help = (
        "Serves clients that speak SMPP 3.4 until SIGTERM or SIGINT. Credentials: manage.py issue_gateway_credential."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=2775)
        parser.add_argument("--tls-port", type=int, default=3550, help="used with --tls-certificate (default: 3550)")
        parser.add_argument("--tls-certificate", default="", metavar="FILE", help="PEM, with the chain")
        parser.add_argument("--tls-key", default="", metavar="FILE", help="PEM, if not in the certificate's file")

    def handle(
        self, *, host: str, port: int, tls_port: int, tls_certificate: str, tls_key: str, **_options: Any
    ) -> None:
        options = ServerOptions(host, port, tls_port, _tls(tls_certificate, tls_key) if tls_certificate else None)
        try:
            serve(options, ready=self._say_ready, stop_signals=(signal.SIGTERM, signal.SIGINT))
        except OSError as error:
            raise CommandError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        self.stdout.write("SMPP server: stopped")

    def _say_ready(self, server: SmppServer) -> None:
        listening = [f"{host}:{port}" for host, port in server.addresses]
        tls = f", with TLS on {listening[1]}" if len(listening) > 1 else ""
        self.stdout.write(f"SMPP server: listening on {listening[0]}{tls}")
        self.stdout.flush()


def _tls(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"the certificate or its key cannot be used ({type(error).__name__})") from None
    return context
