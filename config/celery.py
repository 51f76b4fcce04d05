"""The Celery application. Tasks carry no data: everything they need is in the database."""

import os
from typing import Any

from celery import Celery
from celery.fixups.django import DjangoFixup, DjangoWorkerFixup  # type: ignore[attr-defined]  # missing in celery-types
from django.db import close_old_connections
from kombu import Connection

from providers.state import redis_client

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# A request that publishes a task waits no longer than for any other Redis command, and does not reconnect.
PUBLISHING = {
    "socket_connect_timeout": redis_client.CONNECT_TIMEOUT,
    "socket_timeout": redis_client.ANSWER_TIMEOUT,
    "max_retries": 0,
}


class WorkerFixup(DjangoWorkerFixup):  # type: ignore[misc]  # as above
    """Keeps connections as long as requests do. Celery would close them before and after each task, also on SQLite, where
    opening one takes longer than all statements of a tick."""

    def _close_database(self) -> None:
        close_old_connections()


class Fixup(DjangoFixup):
    _own: WorkerFixup | None = None

    @property
    def worker_fixup(self) -> WorkerFixup:
        if self._own is None:
            self._own = WorkerFixup(self.app)
        return self._own


def fixup(app: Celery) -> Fixup:
    installed = Fixup(app)
    installed.install()
    return installed


class Application(Celery):
    builtin_fixups = {"config.celery:fixup"}  # instead of Celery's own for Django

    def connection_for_write(self, url: str | None = None, **options: Any) -> Connection:
        options["transport_options"] = {**PUBLISHING, **(options.get("transport_options") or {})}
        return super().connection_for_write(url, **options)


app = Application("switchboard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
