"""Create or change a provider account from a deployment script."""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from providers.errors import ConfigError, Misconfigured
from providers.models import ProviderAccount
from providers.registry import BACKENDS, check_account
from providers.services import upsert_account


class Command(BaseCommand):
    help = "Create a provider account, or change the given values of an existing one."
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # argparse's own prints the usage over several lines and exits with 2
        parser.error = self._refuse_arguments  # type: ignore[method-assign]  # Django makes the parser, so no subclass can
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--preset", metavar="NAME", help="the configuration of a vendor, see list_presets")
        parser.add_argument("--backend", help=f"{', '.join(sorted(BACKENDS))}; a new account needs one, or a preset")
        parser.add_argument("--weight", type=int, help="share of the traffic, 0 to 1000; 100 for a new account")
        config = parser.add_mutually_exclusive_group()
        config.add_argument("--config", help="the backend's configuration as a JSON object, merged over the preset")
        config.add_argument(
            "--config-file", metavar="FILE", help="the file with the configuration; - is standard input"
        )
        switch = parser.add_mutually_exclusive_group()
        switch.add_argument("--enable", dest="is_enabled", action="store_const", const=True)
        switch.add_argument("--disable", dest="is_enabled", action="store_const", const=False)

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            account, is_new = upsert_account(
                slug=options["slug"],
                backend=options["backend"],
                weight=options["weight"],
                config=_config(options["config"], options["config_file"]),
                is_enabled=options["is_enabled"],
                preset=options["preset"],
            )
        except ConfigError as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"the database refused: {' '.join(str(error).split())}") from None
        self.stdout.write(
            f"{'created' if is_new else 'updated'} {account.slug}: {account.backend}, weight {account.weight}, "
            f"{'enabled' if account.is_enabled else 'disabled'}"
        )
        self._warn_of_missing_secrets(account)

    def _warn_of_missing_secrets(self, account: ProviderAccount) -> None:
        """The account is stored all the same: other processes may have the variable already."""
        try:
            check_account(account)
        except (ConfigError, Misconfigured) as error:
            detail = getattr(error, "detail", str(error))
            self.stderr.write(f"warning: {account.slug} cannot be used in this environment: {detail}")

    def _refuse_arguments(self, message: str) -> NoReturn:
        line = " ".join(message.split())
        if not getattr(self, "_called_from_command_line", False):
            raise CommandError(line)
        self.stderr.write(f"CommandError: {line}")
        sys.exit(1)


def _config(text: str | None, file: str | None) -> Any:
    """The configuration; None, which changes nothing, if neither is given."""
    if file is not None:
        text = _read(file)
    return None if text is None else _parse(text)


def _read(file: str) -> str:
    name = "standard input" if file == "-" else file
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name} is not UTF-8") from None


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"config is not JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
