"""Which environment variables an account may name: refused when it is stored, and again when it is resolved."""

import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from messaging.admin.provider_accounts import ProviderAccountForm
from providers import registry
from providers.checks import check_accounts
from providers.errors import ConfigError, Misconfigured
from providers.models import ProviderAccount
from providers.secret_names import OF_THE_PROGRAM, may_be_read
from tests.factories import AccountFactory

URL = "http://127.0.0.1:9/"
SECRETS = re.compile(r"SECRET|_KEY|TOKEN|PASSWORD|DSN|_URL$|ENDPOINT")
OWN = [
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "DATABASE_URL",
    "REDIS_URL",
    "FIELD_ENCRYPTION_KEYS",
    "SENTRY_DSN",
    "METRICS_TOKEN",
]


def header(name: str) -> dict[str, object]:
    return {"url": URL, "headers": {"X-Api-Key": {"env": name}}}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "PROVIDER_ACME_KEY",
            "SMS_KEY",
            "TWILIO_AUTH_TOKEN",
            "VONAGE_API_SECRET",
            "PLIVO_AUTH_TOKEN",
            "TELNYX_API_KEY",
        ),
        *("SINCH_TOKEN", "INFOBIP_KEY", "BIRD_KEY", "MESSAGEBIRD_KEY", "CLICKSEND_KEY", "CLICKATELL_KEY"),
        *("AFRICASTALKING_KEY", "BULKSMS_TOKEN", "ELKS_PASSWORD", "TEXTMAGIC_KEY", "SMSAPI_TOKEN", "GATEWAYAPI_TOKEN"),
        *("MSG91_KEY", "OVH_SECRET", "SEVEN_KEY", "KANNEL_PASSWORD", "JASMIN_PASSWORD", "SMSGATE_PASSWORD"),
        *("HTTPSMS_KEY", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_the_providers_own_names_may_be_read(name: str) -> None:
    registry.check_config("generic_http", header(name))


@pytest.mark.parametrize("name", [*OWN, "MEDIA_STORAGE_URL", "POSTGRES_PASSWORD", "ACME_KEY", "HOME", "provider_key"])
def test_other_names_are_refused_with_the_key_that_names_them(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        registry.check_config("generic_http", header(name))

    assert str(refused.value).startswith(f"headers.X-Api-Key: environment variable {name} may not be read")
    assert "PROVIDER_SECRET_NAMES" in str(refused.value)


def test_the_list_is_a_setting(settings) -> None:
    settings.PROVIDER_SECRET_NAMES = ["ACME_*"]

    registry.check_config("generic_http", header("ACME_KEY"))
    with pytest.raises(ConfigError):
        registry.check_config("generic_http", header("PROVIDER_KEY"))


def test_no_pattern_allows_a_secret_of_the_program() -> None:
    variables = set(
        re.findall(r'\benv\.\w+\(\s*"([A-Z_]+)"', (Path(settings.BASE_DIR) / "config/settings.py").read_text())
    )
    secrets = {name for name in variables if SECRETS.search(name)} - {
        "PUBLIC_URL",
        "PROVIDER_SECRET_NAMES",
        "RATE_LIMIT_PER_TOKEN",
        "SMPP_CONNECTOR_URL",
    }

    assert {name for name in secrets if may_be_read(name, ["*"])} <= {"TOKEN_TTL_HOURS"}
    assert secrets >= set(OWN)
    assert set(OWN) <= set(OF_THE_PROGRAM)


@pytest.mark.parametrize(
    "config",
    [
        {"url": {"env": "SECRET_KEY"}},
        {"url": URL, "from_number": {"env": "SECRET_KEY"}},
        {"url": URL, "constants": {"key": {"env": "SECRET_KEY"}}},
        {"url": URL, "callback_auth": "hmac", "callback_secret": {"env": "SECRET_KEY"}},
    ],
    ids=lambda config: [*config][-1],
)
@pytest.mark.django_db
def test_the_command_and_the_form_refuse_it_and_nothing_is_stored(config: dict) -> None:
    with pytest.raises(CommandError, match="environment variable SECRET_KEY may not be read") as refused:
        call_command("upsert_provider", "acme", "--backend", "generic_http", "--config", json.dumps(config))
    bound = ProviderAccountForm(
        {"slug": "acme", "backend": "generic_http", "weight": "5", "config": json.dumps(config)}
    )

    assert refused.value.returncode == 1
    assert "environment variable SECRET_KEY may not be read" in bound.errors["config"][0]
    assert not ProviderAccount.objects.exists()


@pytest.mark.django_db
def test_a_stored_account_that_names_one_is_misconfigured_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "the-key-of-the-program")
    account = AccountFactory(config={**header("SECRET_KEY"), "from_number": {"env": "SECRET_KEY"}})

    with pytest.raises(Misconfigured, match="SECRET_KEY may not be read") as refused, registry.backend_for(account):
        pass
    [warning] = check_accounts(databases=["default"])

    assert account.from_number is None
    assert "SECRET_KEY may not be read" in warning.msg
    assert "the-key-of-the-program" not in str(refused.value) + warning.msg


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["a list", "a template"])
def test_a_reference_is_found_at_any_depth(place: str) -> None:
    value = {"env": "SECRET_KEY"}
    config = {"a list": {"x": [1, [value]]}, "a template": {"x": {"y": {"z": value}}}}[place]

    with pytest.raises(Misconfigured, match="SECRET_KEY may not be read"):
        registry.resolve_secrets(config, {"SECRET_KEY": "s3cr3t"})
