"""Set up the installation, or update an older one."""

import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser

from messaging.services import installation


class Command(BaseCommand):
    help = (
        "Creates the groups and queues that are missing. With --demo also the sandbox accounts, a sender number, the "
        "user admin and a service user with a token; password and token are kept in LOCAL_DIR."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="also prepare everything for a demo")
        parser.add_argument("--sandbox-url", default="", help="URL of the sandbox carrier (with --demo)")
        parser.add_argument(
            "--admin-password", default="", help="for the user admin, if it is created (default: generated)"
        )

    def handle(self, *, demo: bool, sandbox_url: str, admin_password: str, verbosity: int, **_options: Any) -> None:
        if demo and not sandbox_url:
            raise CommandError("--demo needs --sandbox-url, such as http://127.0.0.1:9009")
        installation.install()
        if demo:
            self._demo(sandbox_url, admin_password)
        if verbosity:
            self.stdout.write("Set up: groups, queues" + (", demo" if demo else ""))

    def _demo(self, sandbox_url: str, admin_password: str) -> None:
        password_file = settings.LOCAL_DIR / "admin_password"
        token_file = settings.LOCAL_DIR / "demo_token"
        password = admin_password or _read(password_file) or secrets.token_urlsafe(12)
        demo = installation.install_demo(
            sandbox_url=sandbox_url, admin_password=password, known_token=_read(token_file)
        )
        if demo.created_admin:
            _keep(password_file, password)
        _keep(token_file, demo.token)


def _read(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""


def _keep(file: Path, secret: str) -> None:
    """Create the file with mode 600, so that it is never readable by others."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(secret + "\n")
