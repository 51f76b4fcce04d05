"""A backup as in docs/operations.md, restored into an empty system: a dump, the media folder and the keys; no Redis.

The same for the embedded run, a copy of its folder, is in `test_make_run`.
"""

import base64
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from config.run.environment import BASE_DIR
from tests.environment import GIVEN_DATABASE_URL
from tests.journeys.client import Client, Message
from tests.journeys.databases import fresh_database
from tests.journeys.stack import Stack
from tests.media_store.pictures import encoded

pytestmark = pytest.mark.skipif(
    not GIVEN_DATABASE_URL or shutil.which("pg_dump") is None,
    reason="needs DATABASE_URL and the programs of PostgreSQL",
)
KEYS = {
    "SECRET_KEY": secrets.token_urlsafe(50),
    "FIELD_ENCRYPTION_KEYS": "2026a:" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
}
TEXT = "Your table is booked for eight"
PICTURE = encoded("PNG")
SECONDS = 60


class Backup:
    """A backup and its contents."""

    def __init__(self, folder: Path) -> None:
        self.dump, self.media = folder / "switchboard.dump", folder / "media"
        with Stack(environment=KEYS) as stack:
            client = Client(stack, "shop")
            self.token = stack.token("shop")
            self.sent = client.send("+14155550101", TEXT)
            self.later = client.send("+14155550102", TEXT, send_at=(datetime.now(UTC) + timedelta(days=2)).isoformat())
            upload = client.session.post(stack.url("media/"), files={"file": ("a.png", PICTURE)}, timeout=SECONDS)
            self.picture = upload.json()["id"]
            delivered(client, self.sent)
            with self.dump.open("wb") as file:
                command = ["pg_dump", "--format", "custom", "--dbname", stack.environment["DATABASE_URL"]]
                subprocess.run(command, stdout=file, check=True)
            shutil.copytree(stack.folder / "media", self.media)


def delivered(client: Client, message: Message) -> None:
    client.stack.wait_until(lambda: client.message(message["id"])["status"] == "delivered")


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Backup:
    return Backup(tmp_path_factory.mktemp("backup"))


@pytest.fixture(scope="module")
def restored(backup: Backup) -> Iterator[Client]:
    """A client of the restored system, with its token from before."""
    with fresh_database() as url:
        options = ("--no-owner", "--exit-on-error", "--single-transaction")
        with backup.dump.open("rb") as file:
            subprocess.run(["pg_restore", *options, "--dbname", url], stdin=file, check=True)
        pause_all_queues({**os.environ, **KEYS, "DATABASE_URL": url})
        stack = Stack(environment={**KEYS, "DATABASE_URL": url})
        shutil.copytree(backup.media, stack.folder / "media")
        with stack:
            client = Client(stack)
            client.session = stack.new_session(backup.token)
            yield client
            client.session.close()


def pause_all_queues(environment: dict[str, str]) -> None:
    """With the documented command, before any process runs that could send."""
    page = (BASE_DIR / "docs" / "operations.md").read_text()
    [statement] = set(re.findall(r"web python manage\.py shell -c '([^']+)'", page))
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", statement]
    subprocess.run(command, cwd=BASE_DIR, env=environment, check=True)


def test_the_restored_data_is_complete(backup: Backup, restored: Client) -> None:
    sent, later = (restored.message(message["id"]) for message in (backup.sent, backup.later))

    assert (sent["status"], sent["message"]) == ("delivered", TEXT)
    assert (later["status"], later["message"]) == ("scheduled", TEXT)
    assert restored.steps(sent["id"]) == ["queued", "sending", "sent", "delivered"]
    assert content(restored, backup.picture) == PICTURE


def content(client: Client, picture: str) -> bytes:
    answer: requests.Response = client.session.get(client.stack.url(f"media/{picture}/content/"), timeout=SECONDS)
    assert answer.status_code == 200
    return answer.content


def test_the_restored_system_sends_nothing_until_the_queues_are_resumed(restored: Client) -> None:
    message = restored.send("+14155550103")
    queue = restored.get("queues/express/")
    assert (queue["is_paused"], queue["depth"]) == (True, 1)
    assert restored.stack.sandbox_log()["accepted"] == []

    assert restored.post("queues/express/resume/", {}).status_code == 200

    delivered(restored, message)
    assert [call["to"] for call in restored.stack.sandbox_log()["accepted"]] == ["+14155550103"]
