"""`manage.py setup` and `manage.py issue_token`."""

import re
import stat
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError, call_command
from django.db import OperationalError
from knox.crypto import hash_token
from pytest_django import Settings

from messaging.models import ApiToken, OutboundQueue
from messaging.services import installation
from providers.models import ProviderAccount

pytestmark = pytest.mark.django_db


@pytest.fixture
def local(settings: Settings, tmp_path: Path) -> Path:
    settings.LOCAL_DIR = tmp_path / "local"
    return settings.LOCAL_DIR


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def test_setup_without_demo_creates_no_user_and_no_account(local: Path) -> None:
    assert run("setup") == "Set up: groups, queues\n"

    assert OutboundQueue.objects.count() == 2
    assert not get_user_model().objects.exists()
    assert not ProviderAccount.objects.exists()
    assert not local.exists()


def test_setup_with_demo_stores_password_and_token_readable_by_the_owner_only(local: Path) -> None:
    run("setup", "--demo", "--sandbox-url", "http://127.0.0.1:9009")

    password, token = (local / name for name in ("admin_password", "demo_token"))
    assert authenticate(username="admin", password=password.read_text().strip()).is_superuser
    assert ApiToken.objects.get().digest == hash_token(token.read_text().strip())
    assert [stat.S_IMODE(file.stat().st_mode) for file in (password, token)] == [0o600, 0o600]


def test_setup_accepts_a_password(local: Path) -> None:
    run("setup", "--demo", "--sandbox-url", "http://127.0.0.1:9009", "--admin-password", "correct horse")

    assert authenticate(username="admin", password="correct horse") is not None
    assert (local / "admin_password").read_text() == "correct horse\n"


def test_setup_stores_no_password_of_an_existing_admin(local: Path) -> None:
    get_user_model().objects.create_superuser("admin", password="the old password")

    run("setup", "--demo", "--sandbox-url", "http://127.0.0.1:9009")

    assert [file.name for file in local.iterdir()] == ["demo_token"]


def test_setup_with_demo_needs_the_url_of_the_sandbox(local: Path) -> None:
    with pytest.raises(CommandError, match="--demo needs --sandbox-url"):
        run("setup", "--demo")

    assert not OutboundQueue.objects.exists()
    assert not local.exists()


def test_issue_token_prints_a_working_token_and_nothing_else() -> None:
    output = run("issue_token", "shop", "--name", "web shop")

    assert re.fullmatch(r"[0-9a-f]{64}\n", output)
    token = ApiToken.objects.get(digest=hash_token(output.strip()))
    assert (token.user.username, token.name, token.expiry) == ("shop", "web shop", None)


@pytest.mark.parametrize("username", ["", "two words", "a" * 151, "new\nline"])
def test_issue_token_refuses_an_invalid_user_name(username: str) -> None:
    with pytest.raises(CommandError, match="cannot be a user name"):
        run("issue_token", "--", username)

    assert not get_user_model().objects.exists()


@pytest.mark.parametrize("days", ["0", "-1", "1000000000"])
def test_issue_token_refuses_invalid_days(days: str) -> None:
    with pytest.raises(CommandError, match="--days must be from 1 to 36500"):
        run("issue_token", "shop", f"--days={days}")

    assert not ApiToken.objects.exists()


def test_issue_token_reports_in_one_line_that_the_database_is_not_ready() -> None:
    with (
        patch.object(installation, "issue_token", side_effect=OperationalError("no such table: auth_group\nLINE 1")),
        pytest.raises(
            CommandError, match=r"\Athe database is not ready \(no such table: auth_group\): start `make run`"
        ),
    ):
        run("issue_token", "shop")
