"""REST views of provider accounts: health and actions."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.api.providers import ProviderSerializer
from providers.errors import CredentialsRefused, RateLimited, Refused, Rejected, Unavailable
from providers.models import ProviderAccount, ProviderEvent, SmppBind
from providers.state import account_state, shared_state
from providers.state.account_state import CallResult
from providers.state.health import ReceiptOutcome
from tests.factories import AccountFactory
from tests.messaging.api.conftest import assert_problem, errors_of

NOTHING = {
    "calls": 0,
    "by_outcome": {"accepted": 0, "rejected": 0, "limited": 0, "unavailable": 0, "unknown": 0},
    "error_rate": None,
    "refusal_rate": None,
    "median_latency_ms": None,
    "delivery_rate": None,
}
CLOSED = {"state": "closed", "reason": None, "held": False, "until": None}
ACME = {
    "slug": "acme",
    "backend": "generic_http",
    "enabled": True,
    "weight": 100,
    "effective_weight": 100.0,
    "circuit": CLOSED,
    "refuses_many": False,
    "paused_until": None,
    "binds": [],
    "last_minute": NOTHING,
    "last_15_minutes": NOTHING,
}
ACTIONS = ["enable", "disable", "open", "reset"]


def calls(*errors, at=None) -> None:
    results = [CallResult("acme", error, 100, recipient=f"+1415555{n:04d}") for n, error in enumerate(errors)]
    account_state.record(results, now=at or timezone.now())


def event() -> tuple:
    found = ProviderEvent.objects.get()
    return found.account_id, found.kind, found.detail, found.actor


def test_the_list_and_one_account(api) -> None:
    assert api.get("providers/").json() == {"count": 1, "next": None, "previous": None, "results": [ACME]}
    assert api.get("providers/acme/").json() == ACME


def test_an_account_has_the_documented_keys(api) -> None:
    assert set(api.get("providers/acme/").json()) == set(ProviderSerializer().fields)


def test_the_binds_of_an_smpp_account_are_shown(api) -> None:
    now = timezone.now()
    account = AccountFactory(slug="carrier", backend="smpp")
    live = {"account": account, "holder": "host-1", "lease_until": now + timedelta(seconds=30), "state_since": now}
    SmppBind.objects.create(number=1, state="bound", window=10, in_flight=3, **live)
    SmppBind.objects.create(number=2, state="down", last_error="the carrier cannot be reached", window=10, **live)
    SmppBind.objects.create(
        account=account, number=3, state="bound", holder="dead", lease_until=now - timedelta(seconds=1), in_flight=2
    )

    binds = api.get("providers/carrier/").json()["binds"]

    since = binds[0]["since"]
    assert binds == [
        {
            "number": 1,
            "state": "bound",
            "since": since,
            "connector": "host-1",
            "window": 10,
            "in_flight": 3,
            "error": None,
        },
        {
            "number": 2,
            "state": "down",
            "since": since,
            "connector": "host-1",
            "window": 10,
            "in_flight": 0,
            "error": "the carrier cannot be reached",
        },
        {"number": 3, "state": "unbound", "since": None, "connector": None, "window": 0, "in_flight": 0, "error": None},
    ]


def test_the_health_of_the_account_is_shown(api) -> None:
    calls(None, None, None, Unavailable("down"), at=timezone.now() - timedelta(minutes=3))
    calls(None)
    for receipt in ReceiptOutcome:
        account_state.record_receipt("acme", receipt, now=timezone.now())

    body = api.get("providers/acme/").json()

    assert body["last_minute"] | {"median_latency_ms": None} == NOTHING | {
        "calls": 1,
        "by_outcome": NOTHING["by_outcome"] | {"accepted": 1},
        "error_rate": 0.0,
        "refusal_rate": 0.0,
        "delivery_rate": 0.5,
    }
    assert (body["last_15_minutes"]["calls"], body["last_15_minutes"]["error_rate"]) == (5, 0.2)
    assert body["last_minute"]["median_latency_ms"] == pytest.approx(100, rel=0.2)
    assert 90 < body["effective_weight"] < 100


def test_refusals_are_shown_apart_from_errors(api) -> None:
    calls(None, Refused("no"), Rejected("no"), Unavailable("down"))

    body = api.get("providers/acme/").json()

    minute = body["last_minute"]
    assert (minute["error_rate"], minute["refusal_rate"], minute["by_outcome"]["rejected"]) == (0.25, 0.5, 2)
    assert body["refuses_many"] is False


def test_an_account_that_refuses_nearly_all_recipients_shows_it(api) -> None:
    calls(*[Refused("no")] * 20)

    body = api.get("providers/acme/").json()

    assert (body["refuses_many"], body["circuit"], body["effective_weight"]) == (True, CLOSED, 100.0)


def test_an_open_circuit_has_its_reason_and_end(api) -> None:
    calls(CredentialsRefused("answered 401"))

    circuit = api.get("providers/acme/").json()["circuit"]

    assert (circuit["state"], circuit["held"]) == ("open", False)
    assert circuit["reason"] == "provider_credentials_refused: answered 401"
    assert circuit["until"].endswith("Z")


def test_a_pause_has_its_end(api) -> None:
    calls(RateLimited("slow down", retry_after=60))

    assert api.get("providers/acme/").json()["paused_until"].endswith("Z")


@pytest.mark.parametrize(("act", "enabled"), [("disable", False), ("enable", True)])
def test_disabling_and_enabling(api, act: str, enabled: bool) -> None:
    ProviderAccount.objects.update(is_enabled=not enabled)

    response = api.post(f"providers/acme/{act}/", {"reason": "maintenance"})

    assert (response.status_code, response.json()) == (
        200,
        ACME | {"enabled": enabled, "effective_weight": 100.0 if enabled else 0.0},
    )
    assert ProviderAccount.objects.get().is_enabled is enabled
    assert event() == ("acme", f"{act}d", "maintenance", api.user)


def test_a_circuit_is_held_open_until_it_is_reset(api) -> None:
    held = {"state": "open", "reason": "strange receipts", "held": True, "until": None}

    assert api.post("providers/acme/open/", {"reason": "strange receipts"}).json() == ACME | {"circuit": held}
    assert event() == ("acme", "held_open", "strange receipts", api.user)
    assert api.post("providers/acme/reset/", {"reason": "explained"}).json() == ACME


def test_a_reset_clears_the_recorded_health(api) -> None:
    calls(*[Unavailable("down")] * 20, RateLimited("slow down", retry_after=60))
    assert api.get("providers/acme/").json()["circuit"]["state"] == "open"

    assert api.post("providers/acme/reset/", {"reason": "mended"}).json() == ACME
    assert event() == ("acme", "reset", "mended", api.user)


def test_holding_a_circuit_open_requires_a_reason(api) -> None:
    assert errors_of(api.post("providers/acme/open/")) == {("reason", "required")}
    assert errors_of(api.post("providers/acme/open/", {"reason": ""})) == {("reason", "blank")}

    assert api.get("providers/acme/").json() == ACME
    assert not ProviderEvent.objects.exists()


@pytest.mark.parametrize(("act", "kind"), [("enable", "enabled"), ("disable", "disabled"), ("reset", "reset")])
@pytest.mark.parametrize("body", [{}, {"reason": None}, {"reason": ""}], ids=str)
def test_other_actions_need_no_reason(api, act: str, kind: str, body: dict) -> None:
    assert api.post(f"providers/acme/{act}/", body).status_code == 200
    assert event() == ("acme", kind, "", api.user)


def test_other_actions_need_no_body(api) -> None:
    assert api.post("providers/acme/disable/").json() == ACME | {"enabled": False, "effective_weight": 0.0}


@pytest.mark.parametrize("act", ACTIONS)
@pytest.mark.parametrize(
    ("reason", "code"), [(" ", "blank"), (7, "invalid"), ("x" * 201, "max_length")], ids=["blank", "number", "long"]
)
def test_an_invalid_reason_is_400_and_changes_nothing(api, act: str, reason: object, code: str) -> None:
    assert errors_of(api.post(f"providers/acme/{act}/", {"reason": reason})) == {("reason", code)}

    assert api.get("providers/acme/").json() == ACME
    assert not ProviderEvent.objects.exists()


@pytest.mark.parametrize("act", ["", *(f"{act}/" for act in ACTIONS)])
def test_an_account_that_does_not_exist(api, act: str) -> None:
    assert_problem(api("POST" if act else "GET", f"providers/nobody/{act}", {"reason": "x"}), 404, "not_found")


@pytest.mark.parametrize("group", ["API reader", "API sender"])
@pytest.mark.parametrize("path", ["", "acme/", *(f"acme/{act}/" for act in ACTIONS)])
def test_actions_are_for_operators_only(member_of, group: str, path: str) -> None:
    is_act = path.count("/") == 2
    response = member_of(group)("POST" if is_act else "GET", f"providers/{path}", {"reason": "x"})

    assert_problem(response, 403, "permission_denied")
    assert not ProviderEvent.objects.exists()


def test_without_a_token_there_is_nothing(anonymous) -> None:
    assert_problem(anonymous.get("providers/"), 401, "not_authenticated")


@pytest.mark.parametrize("act", ["open", "reset"])
def test_an_action_that_needs_redis_is_503_and_changes_nothing(api, act: str, monkeypatch) -> None:
    monkeypatch.setattr(shared_state, "ask", lambda _act, otherwise: otherwise)

    assert_problem(api.post(f"providers/acme/{act}/", {"reason": "x"}), 503, "unavailable")
    assert not ProviderEvent.objects.exists()


def test_the_cost_of_the_list_does_not_grow_with_the_accounts(api) -> None:
    costs = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            api.get("providers/")
        costs.append(len(queries))
        AccountFactory.create_batch(4)

    assert costs[0] == costs[1]


def test_no_secret_and_no_configuration_is_shown(api) -> None:
    assert "127.0.0.1" not in api.get("providers/").content.decode()
