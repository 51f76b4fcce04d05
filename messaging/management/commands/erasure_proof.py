"""Show the proofs that a number was erased."""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from messaging import e164
from messaging.services.privacy import erasure


class Command(BaseCommand):
    help = "Shows the proofs that a number was erased: time, user, reason and number of messages."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", help="in international notation")

    def handle(self, *, number: str, **_options: Any) -> None:
        try:
            found = erasure.proofs(e164.normalise(number)).select_related("actor")
        except e164.InvalidNumber as error:
            raise CommandError(str(error)) from None
        if not found:
            raise CommandError("there is no proof that this number was erased")
        for proof in found:
            self.stdout.write(
                f"{proof.pk}: erased at {proof.at:%Y-%m-%d %H:%M:%S} UTC by {proof.actor}, {proof.messages} messages, "
                f"as {proof.pseudonym}; {proof.reason}"
            )
