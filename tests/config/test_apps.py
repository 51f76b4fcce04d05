"""Processes import what they use: each megabyte counts in five of them, and each import in the time of a start."""

import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.contrib import admin
from django.core.checks import Tags, run_checks

from config import beat_settings
from config.run.environment import BASE_DIR

WORKER = """
import config.run.celery_command
from config.celery import app
app.loader.import_default_modules()
"""
BEAT = f"{WORKER}\nimport config.beat"
SUPERVISOR = """
import config.run.__main__
from django.conf import settings
assert settings.EMBEDDED
"""
WEB = "import config.asgi, config.urls"
SANDBOX = "import providers.simulator.__main__"
PAGES = {"config.urls", "messaging.admin", "unfold.admin", "prompt_toolkit"}
LIBRARIES = {
    "botocore",
    "twilio",
    "psycopg",
    "pydantic",
    "cryptography.fernet",
    "phonenumbers",
    "requests",
    "PIL",
    "holidays",
    "pillow_heif",
}


@pytest.mark.parametrize(
    ("code", "settings_module", "needed", "not_needed"),
    [
        (
            WORKER,
            "config.settings",
            {"messaging.tasks"},
            PAGES | {"botocore", "twilio", "psycopg", "holidays", "pillow_heif"},
        ),
        (
            BEAT,
            "config.beat_settings",
            {"django_celery_beat.schedulers"},
            PAGES | LIBRARIES | {"messaging.models", "rest_framework", "django.contrib.auth"},
        ),
        (
            SUPERVISOR,
            "config.settings",
            {"config.run.supervisor", "config.settings"},
            PAGES | LIBRARIES | {"celery", "redis", "django.db", "http.client"},
        ),
        (WEB, "config.settings", {"media_store.validation.conversion"}, {"pillow_heif"}),
        (SANDBOX, "", {"providers.simulator.carrier"}, LIBRARIES | {"django", "redis", "asyncio", "smpp34"}),
    ],
    ids=["worker", "beat", "supervisor", "web", "sandbox"],
)
def test_a_process_imports_what_it_uses(
    code: str, settings_module: str, needed: set[str], not_needed: set[str]
) -> None:
    environment = os.environ | {
        "CELERY_SKIP_CHECKS": "true",
        "DJANGO_SETTINGS_MODULE": settings_module,
        "DATABASE_URL": "",
        "SECRET_KEY": "unused",
    }
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(done.stdout.split())
    assert needed <= loaded
    assert not_needed & loaded == set()


def test_beat_has_the_schedule_of_the_settings_and_some_of_the_applications() -> None:
    assert beat_settings.CELERY_BEAT_SCHEDULE == settings.CELERY_BEAT_SCHEDULE
    assert set(beat_settings.INSTALLED_APPS) < set(settings.INSTALLED_APPS)


def test_a_broken_page_of_the_admin_is_still_found(monkeypatch) -> None:
    [broken, *_] = admin.site._registry.values()
    monkeypatch.setattr(type(broken), "list_display", ["no_such_column"])

    assert "admin.E108" in [message.id for message in run_checks(tags=[Tags.admin])]


def test_the_pages_as_they_are_pass() -> None:
    assert run_checks(tags=[Tags.admin]) == []
