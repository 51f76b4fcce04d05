"""System checks find invalid settings."""

import pytest
from django.core.checks import run_checks

from config import checks


def ids(messages: list) -> list[str]:
    return [message.id for message in messages]


def test_the_defaults_are_sound() -> None:
    assert [message for message in run_checks() if message.id.startswith("switchboard.")] == []


@pytest.mark.parametrize(("lease", "found"), [(15.0, []), (14.9, ["switchboard.E001"])])
def test_a_lease_outlasts_the_longest_call(settings, lease: float, found: list[str]) -> None:
    settings.PROVIDER_CONNECT_TIMEOUT, settings.PROVIDER_READ_TIMEOUT = 3.0, 10.0
    settings.CLAIM_LEASE_SECONDS = lease

    assert ids(checks.check_lease(None)) == found


@pytest.mark.parametrize(
    "name", ["DISPATCH_CONCURRENCY", "PROVIDER_READ_TIMEOUT", "SCHEDULE_MAX_LATENESS", "WEB_THREADS"]
)
def test_a_number_that_must_be_positive_is(settings, name: str) -> None:
    setattr(settings, name, 0)

    [error] = checks.check_positive(None)

    assert error.id == "switchboard.E002"
    assert error.msg == f"{name} must be greater than zero."


@pytest.mark.parametrize("name", ["CALLBACK_ALLOWED_NETWORKS", "MEDIA_FETCH_ALLOWED_NETWORKS"])
@pytest.mark.parametrize("networks", [["10.0.0.1/8"], ["everywhere"]])
def test_networks_that_are_none_are_named(settings, name: str, networks: list[str]) -> None:
    setattr(settings, name, networks)

    [error] = checks.check_networks(None)

    assert (error.id, error.msg.split()[0]) == ("switchboard.E004", name)


@pytest.mark.parametrize(
    ("zone", "found"),
    [
        ("UTC", []),
        ("Europe/Berlin", []),
        ("CEST", ["switchboard.E006"]),
        ("../x", ["switchboard.E006"]),
        ("Factory", ["switchboard.E006"]),
    ],
)
def test_a_time_zone_that_is_none_is_named(settings, zone: str, found: list[str]) -> None:
    settings.POLICY_DEFAULT_TIME_ZONE = zone

    assert ids(checks.check_time_zone(None)) == found


@pytest.mark.parametrize("rate", ["", "200", "0/s", "200/x", "-1/s", "200/s "])
def test_a_rate_that_cannot_be_read_is_named(settings, rate: str) -> None:
    settings.RATE_LIMIT_PER_TOKEN = rate

    assert ids(checks.check_rates(None)) == ["switchboard.E003"]


@pytest.mark.parametrize("rate", ["200/s", "10/m", "5/10m", "1000/h"])
def test_usual_rates_pass(settings, rate: str) -> None:
    settings.RATE_LIMIT_FAILED_LOGINS = rate

    assert checks.check_rates(None) == []


@pytest.mark.parametrize(("https", "found"), [(True, []), (False, ["switchboard.W001"])])
def test_a_deployment_in_the_clear_is_warned_of(settings, https: bool, found: list[str]) -> None:
    settings.HTTPS = https

    assert ids(checks.check_public_url(None)) == found


@pytest.mark.parametrize("name", ["VERIFY_MAX_PER_NUMBER", "VERIFY_MAX_PER_OWNER", "VERIFY_RETENTION_DAYS"])
def test_a_limit_of_verifications_below_its_least_is_named(settings, name: str) -> None:
    assert checks.check_verification_limits(None) == []
    setattr(settings, name, -1)

    [error] = checks.check_verification_limits(None)

    assert (error.id, error.msg.split()[0]) == ("switchboard.E009", name)


@pytest.mark.parametrize(
    ("brand", "contact", "found"),
    [
        ("Acme", "acme.example/help", []),
        ("", "", []),
        ("A" * 60, "b" * 60, ["switchboard.W002"]),
        ("Ácme 🦷", "x" * 9, ["switchboard.W002"]),
    ],
)
def test_replies_that_take_several_segments(settings, brand: str, contact: str, found: list[str]) -> None:
    settings.MESSAGE_BRAND, settings.MESSAGE_CONTACT = brand, contact

    assert ids(checks.check_replies(None)) == found


@pytest.mark.parametrize(("calendar", "found"), [("US", []), ("DE-BY", []), ("", []), ("XX", ["switchboard.E007"])])
def test_the_calendar_of_business_days_exists(settings, calendar: str, found: list[str]) -> None:
    settings.BUSINESS_HOLIDAYS = calendar

    assert ids(checks.check_business_holidays(None)) == found
