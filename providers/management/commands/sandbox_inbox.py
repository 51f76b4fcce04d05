"""Print the texts that the sandbox's carriers have accepted: what a phone would show."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from django.core.management.base import BaseCommand, CommandError, CommandParser

from providers.models import ProviderAccount

# The accounts that `setup --demo` makes, on the one address of the sandbox.
SLUGS = ("sandbox1", "sandbox2")
TIMEOUT = 5.0
SHOWN = 20


class Command(BaseCommand):
    help = "Print the latest texts that the sandbox of `make run` has accepted, newest first, such as one-time codes."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", nargs="?", default="", help="only texts to this number, with its +")
        parser.add_argument("--json", action="store_true", help="print them as a JSON list")

    def handle(self, *_args: Any, number: str, **options: Any) -> None:
        texts = _texts(number)[:SHOWN]
        if options["json"]:
            self.stdout.write(json.dumps(texts, indent=2))
            return
        for text in texts:
            at = datetime.fromtimestamp(text["at"], UTC)
            self.stdout.write(f"{at:%H:%M:%S} UTC  {text['to']}\n  {text['message'].replace(chr(10), chr(10) + '  ')}")
        if not texts:
            self.stdout.write("The sandbox has accepted no such text since it was started.")


def _texts(number: str) -> list[dict[str, Any]]:
    account = ProviderAccount.objects.filter(pk__in=SLUGS).first()
    url = account.config.get("url") if account is not None else None
    if not isinstance(url, str):
        raise CommandError("there is no sandbox here: `make run` starts one")
    address = urlsplit(url)
    query = f"?{urlencode({'to': number})}" if number else ""
    try:
        answer = urllib3.request(
            "GET", f"{address.scheme}://{address.netloc}/_inbox{query}", timeout=TIMEOUT, retries=False
        )
        texts: list[dict[str, Any]] = answer.json()["texts"]
    except (urllib3.exceptions.HTTPError, ValueError, KeyError):
        raise CommandError("the sandbox does not answer; is `make run` running?") from None
    return texts
