"""The Celery application. Tasks carry no data: everything they need is in the database."""

import os
from typing import Any

from celery import Celery
from kombu import Connection

from providers.state import redis_client

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# A request that publishes a task waits no longer than for any other Redis command, and does not reconnect.
PUBLISHING = {
    "socket_connect_timeout": redis_client.CONNECT_TIMEOUT,
    "socket_timeout": redis_client.ANSWER_TIMEOUT,
    "max_retries": 0,
}


class Application(Celery):
    def connection_for_write(self, url: str | None = None, **options: Any) -> Connection:
        options["transport_options"] = {**PUBLISHING, **(options.get("transport_options") or {})}
        return super().connection_for_write(url, **options)


app = Application("switchboard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
