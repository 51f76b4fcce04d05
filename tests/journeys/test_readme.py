"""The README's commands, pasted unchanged into bash in a fresh copy of the program while `make run` is running."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.run import services
from config.run.environment import BASE_DIR
from tests.environment import GIVEN_DATABASE_URL, without_make
from tests.media_store.pictures import encoded

pytestmark = pytest.mark.skipif(
    bool(GIVEN_DATABASE_URL) or shutil.which("make") is None or shutil.which("bash") is None,
    reason="the embedded quick start, without PostgreSQL and Redis; needs make and bash",
)
SECONDS = 120.0
LAST_LINE = "Ctrl-C stops everything; the data stays."
NOT_COPIED = (".git", ".venv", ".local", ".env", "tests", ".*_cache", ".hypothesis")
# Sections whose commands are not pasted here, and why.
LEFT_OUT = {
    "Run it, test it": "`make run` is up already, and keeps its terminal",
    "Deployment": "needs Docker and a public name",
}


def blocks() -> list[tuple[str, str]]:
    """The section and the text of each block that is to be pasted."""
    readme = (BASE_DIR / "README.md").read_text()
    sections = re.split(r"^## (.*)\n", readme, flags=re.MULTILINE)[1:]
    return [
        (title, block) for title, text in zip(sections[::2], sections[1::2], strict=True) for block in blocks_of(text)
    ]


def blocks_of(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def first_block(page: str) -> str:
    return blocks_of((BASE_DIR / "docs" / page).read_text())[0]


class Copy:
    """The program in its own folder, as after a clone, with the libraries of the running interpreter."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, services.free_port()
        shutil.copytree(BASE_DIR, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
        venv = folder / ".venv"
        venv.mkdir()
        for entry in Path(sys.prefix).iterdir():
            (venv / entry.name).symlink_to(entry)
        (venv / ".installed").unlink(missing_ok=True)
        (venv / ".installed").touch()
        self.environment = {
            name: value
            for name, value in without_make(os.environ).items()
            if name
            not in {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "PUBLIC_URL", "LOCAL_DIR", "DJANGO_SETTINGS_MODULE"}
        } | {"PORT": str(self.port)}

    def start(self) -> subprocess.Popen:
        log = self.folder / "run.log"
        with log.open("w") as file:
            run = subprocess.Popen(
                ["make", "run"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + SECONDS
        while LAST_LINE not in log.read_text():
            assert run.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        return run

    def paste(self, text: str) -> str:
        """Paste the block and return its output. Only the port is changed."""
        done = subprocess.run(
            ["bash", "-e"],
            input=text.replace("http://127.0.0.1:8000/", f"http://127.0.0.1:{self.port}/"),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    made = Copy(tmp_path_factory.mktemp("readme") / "switchboard")
    run = made.start()
    yield made
    os.killpg(run.pid, signal.SIGINT)
    run.wait(SECONDS)


def test_every_block_is_pasted_or_omitted_for_a_reason() -> None:
    sections = {section for section, _ in blocks()}

    assert LEFT_OUT.keys() <= sections
    assert sections - LEFT_OUT.keys() == {"A first message", "Adding a provider"}


def test_the_blocks_work_unchanged_in_order(copy: Copy) -> None:
    pasted = [block for section, block in blocks() if section not in LEFT_OUT]
    pasted += [first_block(page) for page in ("callbacks.md", "media.md", "data-protection.md")]
    (copy.folder / "photo.jpg").write_bytes(encoded("JPEG"))
    mark = "--- the next block ---"

    shown = copy.paste(f"echo '{mark}'\n".join(pasted))

    sent, listed, _, created, disabled, addresses, endpoint, image, key = shown.split(f"{mark}\n")
    assert sent.startswith("HTTP/1.1 202 Accepted")
    [message] = json.loads(listed[listed.index("{") :])["results"]
    assert (message["reference"], message["message"]) == ("order-42", "Your code is 123456")
    assert created == "created acme: generic_http, weight 50, enabled\n"
    assert re.search(r"^acme +generic_http +50 +no$", disabled, re.MULTILINE)
    for line, path in zip(addresses.splitlines(), ("status", "inbound"), strict=True):
        assert line.split()[1].startswith(f"http://127.0.0.1:{copy.port}/webhooks/acme/{path}/?token=")
    assert json.loads(endpoint)["secret"].startswith("whsec_")
    assert json.loads(image)["content_type"] == "image/jpeg"
    assert re.fullmatch(r"[\w-]{43}=\n", key)
    assert (copy.folder / ".env").read_text() == "PROVIDER_ACME_KEY=the-key-that-acme-gave-you\n"
