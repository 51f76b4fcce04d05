"""Erase a phone number on request of the person."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from messaging import e164
from messaging.services.errors import NotErasable
from scheduling.services import erasure


class Command(BaseCommand):
    help = "Erases a phone number and its texts from all messages and stores a proof. Suppressions of the number stay."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", help="in international notation")
        parser.add_argument("--reason", required=True, help="stored in the proof")
        parser.add_argument("--by", required=True, help="the user who is responsible")

    def handle(self, *, number: str, reason: str, by: str, **_options: Any) -> None:
        actor = get_user_model().objects.filter(username=by).first()
        if actor is None:
            raise CommandError(f"there is no user {by!r}")
        try:
            done = erasure.erase(number=e164.normalise(number), reason=reason, actor=actor, now=timezone.now())
        except (e164.InvalidNumber, NotErasable) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{done.erasure.messages} messages erased, {done.canceled} canceled; proof {done.erasure.pk}")
        if done.left:
            raise CommandError(f"{done.left} messages in flight were not erased; run the command again in a minute")
