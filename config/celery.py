"""The Celery application. Tasks carry no data: everything they need is in the database."""

import os
from typing import Any

from celery import Celery
from celery.fixups import django as celery_django
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


class WorkerFixup(celery_django.DjangoWorkerFixup):
    """Keeps connections as long as requests do. Celery would close them before and after each task, also on SQLite, where
    opening one takes longer than all statements of a tick."""

    def _close_database(self) -> None:
        close_old_connections()


class Fixup(celery_django.DjangoFixup):
    @property
    def worker_fixup(self) -> celery_django.DjangoWorkerFixup:
        if self._worker_fixup is None:
            self._worker_fixup = WorkerFixup(self.app)
        return self._worker_fixup


def fixup(app: Celery) -> Fixup:
    return Fixup(app).install()


class Application(Celery):
    builtin_fixups = {"config.celery:fixup"}  # instead of Celery's own for Django

    def connection_for_write(self, url: str | None = None, **options: Any) -> Connection:
        options["transport_options"] = {**PUBLISHING, **(options.get("transport_options") or {})}
        return super().connection_for_write(url, **options)


app = Application("switchboard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
