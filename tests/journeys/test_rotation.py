"""A re-encryption command that is killed twice: every text stays readable, and all get the new key.

`ROTATION_ROWS=100000` uses the promised number, which takes a minute.
"""

import base64
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.run.environment import BASE_DIR
from tests.journeys.databases import migrated_database
from tests.journeys.test_schedules import rows_of

ROWS = int(os.environ.get("ROTATION_ROWS", "20000"))
KILLS = 2
SECONDS = 240

FILL = """
from datetime import timedelta
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from messaging.models import Message
from messaging.services import installation
from messaging.services.outbound import bulk_insert
from messaging.services.outbound.bulk_insert import Variant
from messaging.states import Source
installation.install()
now = timezone.now()
prototype = Message(
    direction="outbound", status="queued", owner=get_user_model().objects.create(username="ada"), queue_id="express",
    valid_for=3600, expires_at=now + timedelta(hours=1), created_at=now, updated_at=now,
)
for start in range(0, {rows}, 5_000):
    variants = [Variant(f"+1415{{n:07}}", f"Your code is {{n:07}}", "gsm7", 1) for n in range(start, start + 5_000)]
    with transaction.atomic():
        bulk_insert.store(prototype, variants, source=Source.API)
"""
READ = """
from messaging.models import Message
wrong = [row.pk for row in Message.objects.iterator() if row.text != f"Your code is {row.to_number[5:]}"]
print(Message.objects.count(), len(wrong))
"""


def key(name: str) -> str:
    return f"{name}:{base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}"


class Installation:
    """A separate database, and commands on it with the given keys."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder, self._database_url = folder, database_url
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "LOCAL_DIR": str(folder),
            "SECRET_KEY": secrets.token_urlsafe(50),
        }

    def start(self, keys: list[str], *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE_DIR,
            env={**self._environment, "FIELD_ENCRYPTION_KEYS": ",".join(keys)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, keys: list[str], *arguments: str) -> str:
        with self.start(keys, *arguments) as process:
            output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, output
        return output

    def under(self, name: str) -> int:
        """The number of texts encrypted with that key."""
        query = f"SELECT count(*) FROM messaging_message WHERE text LIKE 'enc:v1:{name}:%'"  # noqa: S608 (our own word)
        return rows_of(self._database_url, self._folder, query)[0][0]


@pytest.fixture
def installation() -> Iterator[Installation]:
    with (
        tempfile.TemporaryDirectory(prefix="switchboard-journey-") as folder,
        migrated_database(Path(folder)) as database_url,
    ):
        yield Installation(Path(folder), database_url)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_rotation_killed_twice_leaves_every_text_readable_under_the_new_key(
    installation: Installation,
) -> None:
    old, new = key("old"), key("new")
    installation.run([old], "shell", "--verbosity", "0", "-c", FILL.format(rows=ROWS))
    assert installation.under("old") == ROWS

    done = [0]
    for _ in range(KILLS):
        with installation.start([new, old], "rotate_encryption") as rotating:
            wait_until(lambda: installation.under("new") > done[-1])
            rotating.send_signal(signal.SIGKILL)
        assert rotating.returncode == -signal.SIGKILL  # so it was not finished
        done.append(installation.under("new"))
        assert done[-1] + installation.under("old") == ROWS
    assert 0 < done[1] < done[2] < ROWS

    output = installation.run([new, old], "rotate_encryption")

    assert f"messaging.Message.text: {ROWS - done[-1]} rows" in output
    assert (installation.under("old"), installation.under("new")) == (0, ROWS)
    assert installation.run([new], "shell", "--verbosity", "0", "-c", READ).split() == [str(ROWS), "0"]
