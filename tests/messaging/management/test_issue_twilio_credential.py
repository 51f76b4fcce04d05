"""`manage.py issue_twilio_credential`."""

import re
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from messaging.models import TwilioApiKey
from messaging.services.twilio import credentials

pytestmark = pytest.mark.django_db


def issue(*arguments: str) -> list[str]:
    output = StringIO()
    call_command("issue_twilio_credential", *arguments, stdout=output)
    return output.getvalue().removesuffix("\n").split(" ")


def test_it_prints_the_account_sid_and_the_token_on_one_line() -> None:
    sid, token = issue("shop")

    client = credentials.verify(sid=sid, secret=token)
    assert client.user == get_user_model().objects.get(username="shop")
    assert client.user.has_perm("messaging.add_message")
    assert not client.user.has_usable_password()


def test_issued_again_both_work_and_the_third_is_refused() -> None:
    first, second = issue("shop"), issue("shop")

    assert first[0] == second[0]
    assert all(credentials.verify(sid=sid, secret=token) for sid, token in (first, second))
    with pytest.raises(CommandError, match="promote"):
        issue("shop")


def test_a_token_is_rotated() -> None:
    sid, old = issue("shop")
    again, new = issue("shop", "--secondary")
    assert issue("shop", "--promote") == [sid] == [again]

    assert credentials.verify(sid=sid, secret=old) is None
    assert credentials.verify(sid=sid, secret=new) is not None


def test_an_api_key_is_printed_with_its_secret() -> None:
    issue("shop")
    sid, secret = issue("shop", "--api-key", "the till")

    assert re.fullmatch(r"SK[0-9a-f]{32}", sid)
    assert credentials.verify(sid=sid, secret=secret).key == TwilioApiKey.objects.get(label="the till")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a b\n"], "user name"),
        (["shop", "--promote"], "no credential"),
        (["shop", "--secondary"], "no credential"),
        (["shop", "--api-key", "x"], "no credential"),
        (["shop", "--promote", "--secondary"], "not allowed"),
    ],
)
def test_what_cannot_be_is_one_clear_line_and_issues_nothing(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        issue(*arguments)

    assert not get_user_model().objects.exists()
