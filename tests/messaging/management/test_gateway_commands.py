"""`manage.py issue_gateway_credential` and `manage.py run_smpp_server`."""

import signal
import socket
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from messaging.models import GatewayCredential
from messaging.services.gateway import credentials
from tests.factories import NOW, GatewayCredentialFactory


def issue(*arguments: str) -> str:
    output = StringIO()
    call_command("issue_gateway_credential", *arguments, stdout=output)
    return output.getvalue()


@pytest.mark.django_db
def test_it_prints_the_system_id_and_the_password_on_one_line() -> None:
    printed = issue("shop", "--system-id", "shop1", "--max-sessions", "4", "--allow", "10.0.0.0/8", "192.0.2.7")

    system_id, password = printed.removesuffix("\n").split(" ")
    row = credentials.verify(system_id=system_id, password=password, address="10.1.1.1", now=NOW)
    assert (system_id, row.max_sessions) == ("shop1", 4)
    assert row.allowed_addresses == ["10.0.0.0/8", "192.0.2.7/32"]
    assert row.user == get_user_model().objects.get(username="shop")
    assert not row.user.has_usable_password()


@pytest.mark.django_db
@pytest.mark.parametrize(("arguments", "expected"), [((), False), (("--receive-texts",), True)])
def test_texts_are_delivered_only_if_that_is_asked_for(arguments: tuple[str, ...], expected: bool) -> None:
    issue("shop", *arguments)

    assert GatewayCredential.objects.get().receives_texts is expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a b\n"], "user name"),
        (["shop", "--system-id", "taken"], "There is a credential"),
        (["shop", "--system-id", "a b"], "A system ID has"),
        (["shop", "--max-sessions", "0"], "from 1 to 100"),
        (["shop", "--allow", "nonsense"], "addresses or networks"),
    ],
)
def test_what_cannot_be_is_one_clear_line_and_issues_nothing(arguments: list[str], words: str) -> None:
    GatewayCredentialFactory(system_id="taken")

    with pytest.raises(CommandError, match=words):
        issue(*arguments)

    assert GatewayCredential.objects.count() == 1
    assert not get_user_model().objects.filter(username="shop").exists()


def serve(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "run_smpp_server", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_server_says_where_it_listens_and_ends_on_sigterm() -> None:
    process = serve("--port", "0")

    line = process.stdout.readline()
    port = int(line.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), 5).close()
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)

    assert line.startswith("SMPP server: listening on 127.0.0.1:")
    assert (process.returncode, output, errors) == (0, "SMPP server: stopped\n", "")


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = serve("--port", str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert errors.startswith("CommandError: cannot listen on 127.0.0.1:")
    assert len(errors.splitlines()) == 1


def test_a_certificate_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    process = serve("--port", "0", "--tls-certificate", str(tmp_path / "none.pem"))
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert errors.startswith("CommandError: the certificate or its key cannot be used")
