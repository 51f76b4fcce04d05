"""POST /messages/?dry_run=true."""

import pytest

from messaging.models import IdempotencyRecord, KeywordRule, Message, Suppression
from messaging.services.installation import API_READER
from providers.models import ProviderAccount
from tests.factories import NOW, HoursRuleFactory
from tests.messaging.api.conftest import assert_problem, errors_of

BODY = {"to": "+4915112345678", "message": "Grüße {}", "category": "otp"}


def test_the_response_has_every_verdict(api) -> None:
    ProviderAccount.objects.update(
        config={"url": "http://127.0.0.1:9/", "currency": "EUR", "price_per_segment": {"+49": 0.075}}
    )
    Suppression.objects.create(number=BODY["to"], source="keyword", created_at=NOW)

    response = api.post("messages/?dry_run=true", BODY, Idempotency_Key="one")

    assert response.status_code == 200
    body = response.json()
    checks = {check.pop("code"): check for check in body.pop("checks")}
    assert body == {
        "verdict": "refused", "from": None, "to": "+4915112345678", "country": "DE",
        "time_zones": ["Europe/Berlin"], "message": "Grüße {}", "category": "otp",
        "queue": "express", "encoding": "gsm7", "characters": 8, "units": 10, "segments": 1,
        "smart_encoding": {"segments": 1, "saved": 0}, "template": None, "template_version": None, "provider": "acme",
        "routes": [{"provider": "acme", "share": 1.0, "reason": None}], "price": "0.075",
        "warnings": [],
        "currency": "EUR",
    }  # fmt: skip
    assert checks["recipient_opted_out"]["verdict"] == "refused"
    assert checks["recipient_inactive"] == {"verdict": "passed", "detail": None, "until": None}
    assert not Message.objects.exists()
    assert not IdempotencyRecord.objects.exists()


def test_a_message_outside_its_hours_is_held_and_told_until_when(api, now) -> None:
    HoursRuleFactory(id="closed", hours=[[[480, 1260]]] * 7)
    tomorrow = {"send_at": "2099-12-01T22:30:00Z", "category": "marketing"}

    body = api.post("messages/?dry_run=true", BODY | tomorrow).json()

    assert body["verdict"] == "held"
    assert next(check for check in body["checks"] if check["code"] == "outside_hours") == {
        "code": "outside_hours",
        "verdict": "held",
        "detail": "Held until 08:00 Europe/Berlin (2 Dec): marketing hours, rule closed.",
        "until": "2099-12-02T07:00:00Z",
    }


def test_marketing_without_a_way_to_opt_out_is_warned_of_and_not_refused(api) -> None:
    body = api.post("messages/?dry_run=true", BODY | {"category": "marketing"}).json()

    assert [warning["code"] for warning in body["warnings"]] == ["no_opt_out_line"]
    assert body["verdict"] != "refused"
    with_line = BODY | {"category": "marketing", "message": "Sale! Reply STOP to opt out."}
    assert api.post("messages/?dry_run=true", with_line).json()["warnings"] == []

    KeywordRule.objects.create(action="stop", words="Grüße", reply="")
    assert api.post("messages/?dry_run=true", BODY | {"category": "marketing"}).json()["warnings"] == []


def test_false_sends(api) -> None:
    assert api.post("messages/?dry_run=false", BODY).status_code == 202
    assert Message.objects.count() == 1


@pytest.mark.parametrize("value", ["", "1", "True", "yes", "true&dry_run=no"])
def test_another_value_neither_checks_nor_sends(api, value) -> None:
    assert errors_of(api.post(f"messages/?dry_run={value}", BODY)) == {("dry_run", "invalid_choice")}
    assert not Message.objects.exists()


def test_a_misspelt_name_does_not_send(api) -> None:
    assert errors_of(api.post("messages/?dryrun=true", BODY)) == {("dryrun", "unknown_filter")}
    assert not Message.objects.exists()


def test_a_wrong_field_is_refused_as_without_it(api) -> None:
    assert errors_of(api.post("messages/?dry_run=true", BODY | {"to": "x"})) == {("to", "invalid_number")}


def test_a_reader_may_not(member_of) -> None:
    assert_problem(member_of(API_READER).post("messages/?dry_run=true", BODY), 403, "permission_denied")


def test_an_invalid_key_is_refused_as_without_it(api) -> None:
    assert errors_of(api.post("messages/?dry_run=true", BODY, Idempotency_Key="x" * 256)) == {
        ("Idempotency-Key", "invalid_key")
    }
