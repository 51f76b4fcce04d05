"""Migrate the database, collect static files and run `setup`, before the other processes start."""

import os
import sys

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError


def main(sandbox_url: str) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    try:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, post_process=False, verbosity=0)
        call_command("setup", demo=True, sandbox_url=sandbox_url, verbosity=0)
    except (DatabaseError, CommandError, ImproperlyConfigured) as error:
        sys.stderr.write(f"{str(error).strip().splitlines()[0]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
