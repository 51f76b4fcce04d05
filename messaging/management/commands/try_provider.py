"""Send one test text through an account, and print what was sent, what came back, and what it means."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from messaging.segments import measure
from providers.models import ProviderAccount
from providers.numbers import canonical
from providers.state.exchange_log import Exchange, ExchangedCall
from providers.test_send import MAX_TEXT, TestMessage, default_text, send_test_message


class Command(BaseCommand):
    help = "Send one test text through a provider account; it may be disabled. The provider charges for it as usual."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("number", help="a phone that you can check, with + and the country code")
        parser.add_argument("--text", default=None, help=f"at most {MAX_TEXT} characters")

    def handle(self, *_args: Any, slug: str, number: str, text: str | None, **_options: Any) -> None:
        to = canonical(number) if number.startswith("+") else None
        if to is None:
            raise CommandError("the number must be a possible one, with + and the country code")
        if text is not None and not (text.strip() and len(text) <= MAX_TEXT):
            raise CommandError(f"--text must have 1 to {MAX_TEXT} characters")
        try:
            account = ProviderAccount.objects.get(pk=slug)
        except ProviderAccount.DoesNotExist:
            raise CommandError(f"there is no account {slug!r}") from None
        except DatabaseError as error:
            raise CommandError(f"the database refused: {' '.join(str(error).split())}") from None
        text = text or default_text(account.backend)
        size = measure(text)
        exchange = send_test_message(account, TestMessage(to, text, encoding=size.encoding, segments=size.segments))
        self.stdout.write("\n".join(_lines(exchange)))
        if not exchange.is_accepted:
            raise CommandError(f"{slug} did not accept the text: {exchange.error_code}")


def _lines(exchange: Exchange) -> Iterator[str]:
    for call in exchange.calls:
        yield from _lines_of_call(call)
    if not exchange.calls:
        yield "No request was made."
    yield f"verdict: {exchange.verdict} ({exchange.latency_ms} ms)"
    if exchange.error_code:
        yield f"error: {exchange.error_code}: {exchange.detail}"
    else:
        yield f"message id: {exchange.provider_message_id or 'none: this provider gives no ids'}"
    if exchange.rule:
        yield f"rule: {exchange.rule}"
    yield f"meaning: {exchange.consequence}"


def _lines_of_call(call: ExchangedCall) -> Iterator[str]:
    yield f"> {call.method} {call.url}"
    yield from (f"> {name}: {value}" for name, value in call.headers)
    yield from _indented(">", call.body)
    yield "<" if call.status is None else f"< {call.status}"
    yield from (f"< {name}: {value}" for name, value in call.response_headers)
    yield from _indented("<", "no complete response" if call.status is None else call.response_body)
    yield ""


def _indented(mark: str, body: str) -> Iterator[str]:
    if body:
        yield mark
        yield from (f"{mark} {line}".rstrip() for line in body.splitlines())
