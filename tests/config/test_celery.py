"""Our own part of Celery's application."""

from types import SimpleNamespace

import pytest
from django.db import connection

from config.celery import Fixup, app

TASK = SimpleNamespace(request=SimpleNamespace(is_eager=False))


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="on PostgreSQL the pool keeps connections")
def test_a_worker_keeps_its_connection_between_tasks() -> None:
    [fixup] = app._fixups
    assert isinstance(fixup, Fixup)
    connection.ensure_connection()
    opened = connection.connection

    fixup.worker_fixup.on_task_prerun(sender=TASK)
    fixup.worker_fixup.on_task_postrun(sender=TASK)
    assert connection.connection is opened

    connection.close_at = 0.0
    fixup.worker_fixup.on_task_prerun(sender=TASK)
    assert connection.connection is None
