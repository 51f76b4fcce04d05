"""From a stored account to a live backend, and what the checks and the admin say of one that cannot be used."""

from collections.abc import Iterator
from typing import Any

import pytest

from messaging.admin.provider_accounts import ProviderAccountForm
from providers import registry
from providers.checks import check_accounts
from providers.errors import ConfigError, Misconfigured
from providers.models import ProviderAccount

CONFIG = {"url": "https://carrier.example/send", "headers": {"X-Api-Key": {"env": "ACME_KEY"}}}


@pytest.fixture
def account(db: None) -> Iterator[ProviderAccount]:
    ProviderAccount.objects.all().delete()
    yield ProviderAccount.objects.create(slug="registry-test", backend="generic_http", config=CONFIG)
    known = registry._instances.pop("registry-test", None)
    if known is not None:
        known[1].close()


def form(**data: Any) -> ProviderAccountForm:
    return ProviderAccountForm({"slug": "new", "backend": "generic_http", "weight": "5", "config": "{}", **data})


def test_a_backend_gets_its_secrets_from_the_environment(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", "s3cr3t")

    backend = registry.backend_for(account)

    assert backend.config.headers == {"X-Api-Key": "s3cr3t"}  # type: ignore[attr-defined]
    assert "s3cr3t" not in repr(backend.config)


def test_a_backend_is_kept_until_its_account_changes(account: ProviderAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", "s3cr3t")
    first = registry.backend_for(account)

    assert registry.backend_for(account) is first
    account.save()
    assert registry.backend_for(account) is not first


def test_a_missing_secret_is_a_misconfiguration_that_names_the_variable(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACME_KEY", raising=False)

    with pytest.raises(Misconfigured, match="environment variable ACME_KEY is not set"):
        registry.backend_for(account)


def test_a_secret_that_cannot_be_used_is_a_misconfiguration_that_does_not_show_it(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", "s3cr3t\n")

    with pytest.raises(Misconfigured) as caught:
        registry.backend_for(account)

    assert "headers.X-Api-Key" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_every_fault_of_a_configuration_is_named_in_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.check_config("generic_http", {"url": "nowhere", "accepted": [99], "\n": 1})

    line = str(caught.value)
    assert "url: must be an absolute http or https address; accepted.0: " in line
    assert "\n" not in line
    assert "Value error" not in line


def test_the_check_warns_of_an_account_that_cannot_be_used(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACME_KEY", raising=False)

    [warning] = check_accounts(databases=["default"])

    assert (warning.id, "ACME_KEY is not set" in warning.msg) == ("providers.W001", True)


def test_the_check_is_silent_about_good_accounts_and_disabled_ones(
    account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", "s3cr3t")
    ProviderAccount.objects.create(slug="off", backend="gone", is_enabled=False)

    assert check_accounts(databases=["default"]) == []
    assert check_accounts() == []


@pytest.mark.django_db
def test_the_admins_form_takes_a_good_configuration() -> None:
    assert form(config='{"url": "https://carrier.example"}').is_valid()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        ({"config": "{}"}, "config", "url: Field required"),
        ({"config": "{"}, "config", "Enter a valid JSON."),
        ({"config": "[]"}, "config", "config must be a JSON object"),
        ({"config": '{"url": "http://a", "headers": {"Cookie": "s3cr3t"}}'}, "config", '{"env": "NAME"}'),
        ({"backend": "gone"}, "backend", "Select a valid choice"),
        ({"weight": "1001"}, "weight", "1000"),
        ({"slug": "A b"}, "slug", "Use lower-case letters"),
    ],
)
def test_the_admins_form_says_what_is_wrong(data: dict[str, str], field: str, words: str) -> None:
    bound = form(**data)

    assert not bound.is_valid()
    assert words in bound.errors[field][0]
    assert "s3cr3t" not in str(bound.errors[field][0])
