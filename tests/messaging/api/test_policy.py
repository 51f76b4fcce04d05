"""REST view of the caller's own policy."""

from datetime import time

import pytest

from messaging.models import OwnerPolicy
from tests.factories import OwnerPolicyFactory
from tests.messaging.api.conftest import assert_problem, errors_of

NOTHING = {"default_time_zone": None, "quiet_hours": None}
NIGHT = {"from": "21:00", "until": "08:00"}


def test_nothing_is_set_until_something_is(api) -> None:
    assert api.get("policy/").json() == NOTHING
    assert not OwnerPolicy.objects.exists()


def test_only_the_fields_that_are_sent_change(api) -> None:
    assert api("PATCH", "policy/", {"quiet_hours": NIGHT}).json() == {**NOTHING, "quiet_hours": NIGHT}
    assert api("PATCH", "policy/", {"default_time_zone": "Europe/Berlin"}).json() == {
        "default_time_zone": "Europe/Berlin",
        "quiet_hours": NIGHT,
    }
    policy = OwnerPolicy.objects.get()
    assert (policy.owner, policy.quiet_from, policy.quiet_until) == (api.user, time(21), time(8))
    assert api("PATCH", "policy/", {}).json() == api.get("policy/").json()

    assert api("PATCH", "policy/", NOTHING).json() == NOTHING
    assert api.get("policy/").json() == NOTHING


def test_it_is_that_of_the_caller(api) -> None:
    other = OwnerPolicyFactory(default_time_zone="Asia/Tokyo")

    assert api.get("policy/").json() == NOTHING
    api("PATCH", "policy/", {"default_time_zone": "Europe/Berlin"})

    other.refresh_from_db()
    assert other.default_time_zone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"default_time_zone": "Berlin"}, "default_time_zone", "unknown_time_zone"),
        ({"default_time_zone": 1}, "default_time_zone", "invalid"),
        ({"quiet_hours": {"from": "8:00", "until": "21:00"}}, "quiet_hours", "invalid_time"),
        ({"quiet_hours": {"from": "21:00", "until": "21:00"}}, "quiet_hours", "no_quiet_hours"),
        ({"quiet_hours": {}}, "quiet_hours", "invalid"),
        ({"quiet_hours": []}, "quiet_hours", "invalid"),
        ({"quiet": NIGHT}, "quiet", "unknown_field"),
    ],
)
def test_an_invalid_change_changes_nothing(api, change, field: str, code: str) -> None:
    api("PATCH", "policy/", {"quiet_hours": NIGHT})

    assert errors_of(api("PATCH", "policy/", {"default_time_zone": "Asia/Tokyo", **change})) == {(field, code)}

    assert api.get("policy/").json() == {**NOTHING, "quiet_hours": NIGHT}


def test_a_reader_reads_and_nobody_without_a_token_does(member_of, anonymous) -> None:
    reader = member_of("API reader")

    assert reader.get("policy/").json() == NOTHING
    assert_problem(reader("PATCH", "policy/", {"quiet_hours": NIGHT}), 403, "permission_denied")
    assert_problem(anonymous.get("policy/"), 401, "not_authenticated")
    assert not OwnerPolicy.objects.exists()
