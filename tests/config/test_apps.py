"""Processes load the admin pages only if they serve or check them."""

import subprocess
import sys

from django.contrib import admin
from django.core.checks import Tags, run_checks

from config.run.environment import BASE_DIR

WORKER = """
import sys
from config.celery import app
app.loader.import_default_modules()
print(*sys.modules)
"""


def test_a_worker_loads_the_tasks_and_no_page(monkeypatch) -> None:
    monkeypatch.setenv("CELERY_SKIP_CHECKS", "true")

    done = subprocess.run([sys.executable, "-c", WORKER], cwd=BASE_DIR, capture_output=True, text=True, check=True)

    loaded = done.stdout.split()
    assert "messaging.tasks" in loaded
    assert [name for name in loaded if name in {"config.urls", "messaging.admin", "unfold.admin"}] == []


def test_a_broken_page_of_the_admin_is_still_found(monkeypatch) -> None:
    [broken, *_] = admin.site._registry.values()
    monkeypatch.setattr(type(broken), "list_display", ["no_such_column"])

    assert "admin.E108" in [message.id for message in run_checks(tags=[Tags.admin])]


def test_the_pages_as_they_are_pass() -> None:
    assert run_checks(tags=[Tags.admin]) == []
