"""Issue a credential for clients of Twilio's API to a service user."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.management import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from messaging.management.service_users import issuing_to
from messaging.models import TwilioAccount
from messaging.services import installation
from messaging.services.errors import InvalidField
from messaging.services.twilio import credentials


class Command(BaseCommand):
    help = (
        "Prints the account SID and an auth token of a service user (created if missing), separated by a blank. Issued again, "
        "it prints a secondary auth token, and the first one stays valid."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--secondary", action="store_true", help="print a new secondary auth token, which replaces the present one"
        )
        how.add_argument(
            "--promote",
            action="store_true",
            help="make the secondary auth token the primary one and refuse the old one; prints the account SID alone",
        )
        how.add_argument("--api-key", metavar="LABEL", help="print the SID and the secret of a new API key")

    def handle(self, *, username: str, secondary: bool, promote: bool, api_key: str | None, **_options: Any) -> None:
        with issuing_to(username), transaction.atomic():
            user = installation.service_user(username)
            printed = _issued(user, secondary=secondary, promote=promote, api_key=api_key)
        self.stdout.write(" ".join(printed))


def _issued(user: AbstractBaseUser, *, secondary: bool, promote: bool, api_key: str | None) -> tuple[str, ...]:
    now = timezone.now()
    if not secondary and not promote and api_key is None:
        row, token = credentials.issue(user=user, now=now)
        return row.sid, token
    account = TwilioAccount.objects.filter(user=user.pk).first()
    if account is None:
        raise InvalidField("username", "no_credential", "This user has no credential; issue one first.")
    if promote:
        return (credentials.promote(account_id=account.pk).sid,)
    if secondary:
        row, token = credentials.issue_secondary(account_id=account.pk)
        return row.sid, token
    key, secret = credentials.issue_key(account_id=account.pk, label=(api_key or "")[:100], now=now)
    return key.sid, secret
