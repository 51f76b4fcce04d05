"""Creating and changing accounts, through the use case and through the command."""

import json
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from providers.errors import ConfigError
from providers.management.commands.upsert_provider import Command
from providers.models import ProviderAccount, ProviderEvent
from providers.services import note_changes, upsert_account
from providers.state.account_state import RefusalChange
from tests.factories import NOW

pytestmark = pytest.mark.django_db

CONFIG = {"url": "https://carrier.example/send", "headers": {"X-Api-Key": {"env": "PROVIDER_ACME_KEY"}}}


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("upsert_provider", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def account() -> ProviderAccount:
    return ProviderAccount.objects.create(slug="acme", backend="generic_http", weight=30, config=CONFIG)


@pytest.fixture(autouse=True)
def no_accounts_of_the_installation() -> None:
    ProviderAccount.objects.all().delete()


def test_a_new_account_is_enabled_and_has_an_even_share() -> None:
    account, is_new = upsert_account(slug="acme", backend="generic_http", config=CONFIG)

    assert is_new
    account.refresh_from_db()
    assert (account.backend, account.weight, account.is_enabled, account.config) == ("generic_http", 100, True, CONFIG)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"is_enabled": False}, (30, False, CONFIG)),
        ({"weight": 0}, (0, True, CONFIG)),
        ({"config": {"url": "http://other.example"}}, (30, True, {"url": "http://other.example"})),
        ({}, (30, True, CONFIG)),
    ],
)
def test_only_what_is_given_changes(
    account: ProviderAccount, change: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    _changed, is_new = upsert_account(slug="acme", **change)

    account.refresh_from_db()
    assert not is_new
    assert (account.weight, account.is_enabled, account.config) == expected


def test_a_change_makes_workers_build_the_backend_again(account: ProviderAccount) -> None:
    before = account.updated_at

    changed, _is_new = upsert_account(slug="acme", weight=31)

    assert changed.updated_at > before


def test_a_configuration_that_is_no_longer_accepted_can_still_be_switched_off(account: ProviderAccount) -> None:
    ProviderAccount.objects.update(config={"url": "nowhere"})

    upsert_account(slug="acme", is_enabled=False)

    account.refresh_from_db()
    assert not account.is_enabled


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backend": "carrier-pigeon"}, "unknown backend 'carrier-pigeon'; known: aws, generic_http, smpp, twilio"),
        ({"weight": 1001}, "weight must be from 0 to 1000"),
        ({"weight": -1}, "weight must be from 0 to 1000"),
        ({"config": []}, "config must be a JSON object"),
        ({"config": {}}, "url: Field required"),
        ({"config": {**CONFIG, "bogus\nkey": 1}}, "bogus key: there is no such key"),
        ({"config": {**CONFIG, "constants": {"a": "b\x00"}}}, "config must not contain NUL characters"),
        ({"backend": "twilio"}, "account_sid: Field required"),
    ],
)
def test_a_bad_value_is_one_line_and_changes_nothing(
    account: ProviderAccount, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        upsert_account(slug="acme", **change)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    account.refresh_from_db()
    assert (account.backend, account.weight, account.config) == ("generic_http", 30, CONFIG)


@pytest.mark.parametrize("change", [{}, {"backend": "generic_http"}, {"config": CONFIG}, {"is_enabled": True}])
def test_a_new_account_needs_a_backend_and_a_config(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a new one needs a backend and a config"):
        upsert_account(slug="acme", **change)

    assert not ProviderAccount.objects.exists()


@pytest.mark.parametrize("slug", ["", "Acme", "a b", "ä", "a" * 41, "-a", "a\n"])
def test_a_slug_must_fit_into_an_address(slug: str) -> None:
    with pytest.raises(ConfigError, match="slug: Use lower-case letters"):
        upsert_account(slug=slug, backend="generic_http", config=CONFIG)

    assert not ProviderAccount.objects.exists()


def test_refusals_of_nearly_all_recipients_are_an_alert_and_their_end_is_not(account: ProviderAccount, caplog) -> None:
    note_changes([RefusalChange("acme", refuses_many=True, detail="provider_refused: answered 400")], now=NOW)
    note_changes([RefusalChange("acme", refuses_many=False)], now=NOW)

    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert list(ProviderEvent.objects.order_by("id").values_list("account", "kind", "detail")) == [
        ("acme", "many_refused", "provider_refused: answered 400"),
        ("acme", "few_refused", ""),
    ]


def test_the_command_creates_and_changes() -> None:
    created = run("acme", "--backend", "generic_http", "--weight", "30", "--config", json.dumps(CONFIG), "--disable")
    updated = run("acme", "--enable")

    assert created == "created acme: generic_http, weight 30, disabled\n"
    assert updated == "updated acme: generic_http, weight 30, enabled\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weight", "many"], "argument --weight: invalid int value: 'many'"),
        (["--enable", "--disable"], "argument --disable: not allowed with argument --enable"),
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--config", "{"], "config is not JSON: "),
        (["--config", '{"max_per_second": NaN}'], "config is not JSON: NaN is not a JSON number"),
        (["--config", "[" * 100_000], "config is not JSON: "),
        (["--config", "5"], "config must be a JSON object"),
        (["--config", "{}", "--config-file", "-"], "argument --config-file: not allowed with argument --config"),
        (["--config-file", "/no/such/file"], "/no/such/file cannot be read: No such file or directory"),
        (["--config-file", "/"], "/ cannot be read: Is a directory"),
    ],
)
def test_the_command_refuses_with_one_line(account: ProviderAccount, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError) as caught:
        run("acme", *arguments)

    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)
    assert caught.value.returncode == 1


class Input:
    def __init__(self, content: bytes) -> None:
        self.buffer = BytesIO(content)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_a_configuration_comes_from_a_file_or_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: bytes
) -> None:
    file = tmp_path / "acme.json"
    file.write_bytes(mark + json.dumps(CONFIG, indent=2).encode())
    changed = {"url": "https://other.example/é's"}
    monkeypatch.setattr("sys.stdin", Input(mark + json.dumps(changed, ensure_ascii=False).encode()))

    run("acme", "--backend", "generic_http", "--config-file", str(file))
    assert ProviderAccount.objects.get().config == CONFIG

    run("acme", "--config-file", "-")
    assert ProviderAccount.objects.get().config == changed


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "config is not JSON: "),
        (b"{'url': 1}", "config is not JSON: "),
        (b'{"url": "\xff"}', "standard input is not UTF-8"),
    ],
)
def test_an_invalid_file_changes_nothing_and_is_reported_in_one_line(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    monkeypatch.setattr("sys.stdin", Input(content))

    with pytest.raises(CommandError) as caught:
        run("acme", "--config-file", "-")

    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)
    account.refresh_from_db()
    assert account.config == CONFIG


def test_a_wrong_flag_on_the_command_line_ends_with_1_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from_shell = ["manage.py", "upsert_provider", "acme", "--weight", "many"]

    with pytest.raises(SystemExit) as caught:
        Command().run_from_argv(from_shell)

    assert caught.value.code == 1
    assert capsys.readouterr().err == "CommandError: argument --weight: invalid int value: 'many'\n"


def test_accounts_are_listed_with_their_references_as_they_are_stored(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_ACME_KEY", "s3cr3t")
    output = StringIO()

    call_command("list_providers", "--json", stdout=output)

    assert json.loads(output.getvalue()) == [
        {"slug": "acme", "backend": "generic_http", "weight": 30, "is_enabled": True, "config": CONFIG}
    ]


def test_accounts_are_listed_as_a_table(account: ProviderAccount) -> None:
    output = StringIO()

    call_command("list_providers", stdout=output)

    assert output.getvalue() == ("slug  backend       weight  enabled\nacme  generic_http  30      yes\n")
