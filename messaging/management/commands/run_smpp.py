"""Run the SMPP connector: the process that holds the binds of all enabled SMPP accounts."""

import asyncio
import logging
from typing import Any

from django.core.management import BaseCommand, CommandParser

from messaging.smpp_connector.process import serve
from providers.registry import callback_keys


class Command(BaseCommand):
    help = (
        "Holds the binds of all enabled SMPP accounts until it is stopped. Workers reach it at SMPP_CONNECTOR_URL. "
        "Several may run, on several hosts: they share the binds."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=8775, help="port to listen on (default: %(default)s)")

    def handle(self, *, host: str, port: int, **_options: Any) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        asyncio.run(serve(host=host, port=port, secret_keys=callback_keys()))
