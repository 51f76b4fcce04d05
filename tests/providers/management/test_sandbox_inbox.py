"""Reading a code while one develops: the command that docs/verify.md names."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.factories import AccountFactory
from tests.providers.simulator.conftest import Client, client, sandbox

__all__ = ["client", "sandbox"]  # fixtures
pytestmark = pytest.mark.django_db


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("sandbox_inbox", *arguments, stdout=out)
    return out.getvalue()


def test_it_prints_the_texts_of_a_number(client: Client) -> None:
    AccountFactory(slug="sandbox1", config={"url": f"{client.url}/provider1"})
    assert "no such text" in printed("+14155550101")
    client.send(to="+14155550101", message="Your code is 493201.\n\n@a.example #493201")
    client.send(to="+14155550102", message="Other")

    shown = printed("+14155550101")

    assert "+14155550101\n  Your code is 493201.\n  \n  @a.example #493201\n" in shown
    assert "Other" not in shown
    assert json.loads(printed("--json"))[0]["message"] == "Other"


def test_without_a_sandbox_it_says_so() -> None:
    with pytest.raises(CommandError, match="no sandbox here"):
        printed()
    AccountFactory(slug="sandbox1", config={"url": "http://127.0.0.1:9/provider1"})
    with pytest.raises(CommandError, match="does not answer"):
        printed()
