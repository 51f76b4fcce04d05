"""Webhooks of Alertmanager and Grafana become texts, each of them once."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import AlertNotice, Message
from messaging.segments import measure
from tests.factories import AlertReceiverFactory, UserFactory, make_token
from tests.messaging.api.conftest import Api, assert_problem, errors_of
from tests.messaging.api.integrations.payloads import STARTED, alert, alertmanager, grafana
from tests.messaging.parallel import at_once

ALERTMANAGER, GRAFANA = "integrations/alertmanager/", "integrations/grafana/"
OPS, ONE = "?receiver=ops", "?to=%2B14155550109"
NOTHING = {"sent": 0, "refused": 0, "repeated": False, "held": False, "messages": []}
REPEATED = {**NOTHING, "repeated": True}


def texts() -> list[tuple[str, str]]:
    return list(Message.objects.order_by("to_number", "pk").values_list("to_number", "text"))


def test_a_webhook_of_alertmanager_is_one_text_to_each_recipient(
    api, ops, broker, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = api.post(f"{ALERTMANAGER}{OPS}", alertmanager())

    text = "FIRING HighLoad: load is 17 on web-1"
    assert response.status_code == 202
    ids = [str(pk) for pk in Message.objects.order_by("pk").values_list("pk", flat=True)]
    assert response.json() == {**NOTHING, "sent": 2, "messages": ids}
    assert texts() == [("+14155550101", text), ("+14155550102", text)]
    assert {(each.owner_id, each.queue_id, each.from_number, each.valid_for) for each in Message.objects.all()} == {
        (api.user.pk, "express", "+15005550006", 3600)
    }


def test_a_webhook_of_grafana_is_one_text_to_each_recipient(api, ops) -> None:
    response = api.post(f"{GRAFANA}{OPS}", grafana())

    assert (response.status_code, response.json()["sent"]) == (202, 2)
    assert texts()[0] == ("+14155550101", "FIRING Disk almost full: load is 19 on web-3")


def test_a_receivers_template_may_use_grafanas_own_texts(api, ops) -> None:
    ops.template, ops.sender = "{title} / {message}", "+15005550006"
    ops.save()

    api.post(f"{GRAFANA}{OPS}", grafana())

    assert texts()[0][1] == (
        "[FIRING:1] Disk almost full Hosts / **Firing** Value: A=93.5 Labels: - alertname = Disk almost full"
    )


def test_recipients_may_be_named_by_the_request(api, ops) -> None:
    response = api.post(f"{ALERTMANAGER}{ONE}&to=%2B1%20(415)%20555-0110&to=%2B14155550109", alertmanager())

    assert response.json()["sent"] == 2
    assert [number for number, _ in texts()] == ["+14155550109", "+14155550110"]


def test_a_plus_that_the_address_does_not_escape_is_read_as_one(api, ops) -> None:
    assert api.post(f"{ALERTMANAGER}?to=+14155550109", alertmanager()).status_code == 202

    assert [number for number, _ in texts()] == ["+14155550109"]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", ("to", "required")),
        ("?to=", ("to", "invalid_number")),
        ("?to=4155550101", ("to", "invalid_number")),
        ("?to=%00", ("to", "invalid_number")),
        (f"{ONE}&receiver=ops", ("to", "required")),
        ("?receiver=ops&receiver=ops", ("to", "required")),
        ("?receiver=other", ("receiver", "unknown_receiver")),
        ("?receiver=%00", ("receiver", "unknown_receiver")),
        ("?receiver=theirs", ("receiver", "unknown_receiver")),
        ("?receiver=hook", ("receiver", "unknown_receiver")),
        ("?receiver=empty", ("receiver", "no_recipients")),
        ("?receiver=ops&resolved=yes", ("resolved", "invalid")),
        ("?" + "&".join(f"to=%2B141555501{number:02}" for number in range(51)), ("to", "too_many")),
        ("?receiver=ops&nonsense=1", ("nonsense", "unknown_filter")),
    ],
)
def test_a_query_that_names_no_recipients_is_400(api, ops, query: str, error: tuple[str, str]) -> None:
    AlertReceiverFactory(name="theirs")
    AlertReceiverFactory(name="hook", owner=api.user, hook=True)
    AlertReceiverFactory(name="empty", owner=api.user, recipients=[])

    assert errors_of(api.post(f"{ALERTMANAGER}{query}", alertmanager())) == {error}

    assert not Message.objects.exists()


@pytest.mark.parametrize("path", [ALERTMANAGER, GRAFANA])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"alerts": []}, "required"),
        ({"alerts": {}}, "required"),
        ({"alerts": "x"}, "required"),
        ({"alerts": [1]}, "required"),
    ],
)
def test_a_body_without_alerts_is_400(api, ops, path: str, body: dict, code: str) -> None:
    assert errors_of(api.post(f"{path}{OPS}", body)) == {("alerts", code)}


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"a": NaN}', b"\xff", b'{"a":' * 5000 + b"1" + b"}" * 5000])
def test_a_body_that_is_not_json_is_400(api, ops, data: bytes) -> None:
    assert_problem(api.post(f"{ALERTMANAGER}{OPS}", data=data), 400, "parse_error")


def test_a_body_that_is_too_large_is_413_and_one_with_too_many_values_400(api, ops, settings) -> None:
    assert_problem(api.post(f"{ALERTMANAGER}{OPS}", {"alerts": [[]] * 600_001}), 400, "parse_error")
    settings.MAX_BODY_BYTES = 1_000

    assert_problem(api.post(f"{ALERTMANAGER}{OPS}", alertmanager(x="y" * 1_000)), 413, "body_too_large")


@pytest.mark.parametrize(
    "wrong", [None, 1, True, [], {}, ["x"], {"a": 1}, {"a": {"b": 1}}, "\0", "\ud800", "x" * 20_000]
)
def test_fields_of_another_type_are_as_good_as_missing(api, ops, wrong: object) -> None:
    strange = dict.fromkeys((*alert(), "values", "x"), wrong)
    body = dict.fromkeys(grafana(), wrong) | {"alerts": [strange, alert(number=2, labels={"alertname": wrong})]}

    response = api.post(f"{GRAFANA}{OPS}", body)

    assert response.status_code == 202
    assert measure(texts()[0][1]).segments <= 3


def test_what_a_database_cannot_store_becomes_a_blank(api, ops) -> None:
    named = alert(labels={"alertname": "High\0Load"}, annotations={"summary": "50\ud800 %\n\nfull"})

    api.post(f"{ALERTMANAGER}{OPS}", alertmanager(named))

    assert texts()[0][1] == "FIRING High Load: 50 % full"


def test_alerts_beyond_ten_thousand_are_counted(api, ops) -> None:
    body = alertmanager(*[alert()] * 10_001, truncatedAlerts=5)

    assert api.post(f"{ALERTMANAGER}{OPS}", body).json()["sent"] == 2

    assert texts()[0][1].count("HighLoad") == 14
    assert texts()[0][1].endswith(" +9,992 more")


def test_the_one_that_fires_is_not_lost_among_many_that_have_ended(api, ops) -> None:
    alerts = [alert(number=number, status="resolved") for number in range(10_000)]

    api.post(f"{ALERTMANAGER}{OPS}", alertmanager(*alerts, alert()))

    assert texts()[0][1] == "FIRING HighLoad: load is 17 on web-1"


def test_ten_thousand_alerts_are_one_text(api, ops) -> None:
    alerts = [alert(number=number) for number in range(10_000)]

    response = api.post(f"{ALERTMANAGER}{OPS}", alertmanager(*alerts))

    assert response.json()["sent"] == 2
    assert texts()[0][1].startswith("FIRING HighLoad: load is 16 on web-0; HighLoad: load is 17 on web-1; ")
    assert texts()[0][1].endswith(" more")
    assert measure(texts()[0][1]).segments == 3
    assert api.post(f"{ALERTMANAGER}{OPS}", alertmanager(*reversed(alerts))).json() == REPEATED


class TestRepeats:
    def test_a_repeat_is_200_and_sends_nothing(self, api, ops) -> None:
        api.post(f"{ALERTMANAGER}{OPS}", alertmanager())

        again = api.post(f"{ALERTMANAGER}{OPS}", alertmanager(notification_reason="repeat interval elapsed"))

        assert (again.status_code, again.json()) == (200, REPEATED)
        assert len(texts()) == 2

    @pytest.mark.parametrize(
        "other",
        [
            alertmanager(alert(startsAt="2026-11-22T10:00:00Z")),
            alertmanager(alert(), alert(number=2)),
            alertmanager(alert(number=2)),
            alertmanager(groupKey="{}:{}"),
            alertmanager(alert(fingerprint="", labels={"alertname": "HighLoad", "instance": "web-9"})),
        ],
        ids=["start", "more alerts", "other alert", "group", "labels"],
    )
    def test_another_start_alert_or_group_is_no_repeat(self, api, ops, other) -> None:
        api.post(f"{ALERTMANAGER}{OPS}", alertmanager())

        assert api.post(f"{ALERTMANAGER}{OPS}", other).status_code == 202

    @pytest.mark.parametrize(("start", "days"), [(STARTED, 30), ("", 0), (None, 0), ("0001-01-01T00:00:00Z", 0)])
    def test_without_a_start_it_is_known_for_an_hour_only(self, api, ops, start: str | None, days: int) -> None:
        """The next occurrence looks just like it."""
        api.post(f"{ALERTMANAGER}{OPS}", alertmanager(alert(), alert(number=2, startsAt=start)))

        notice = AlertNotice.objects.get()
        assert (notice.forget_at - notice.received_at) == timedelta(days=days, hours=0 if days else 1)

    def test_a_group_of_another_organisation_of_grafana_is_no_repeat(self, api, ops) -> None:
        api.post(f"{GRAFANA}{OPS}", grafana())

        assert api.post(f"{GRAFANA}{OPS}", grafana(orgId=2)).status_code == 202
        assert api.post(f"{GRAFANA}{OPS}", grafana(title="other words")).json() == REPEATED

    @pytest.mark.django_db(transaction=True)
    def test_three_at_once_and_one_later_are_one_text(self, api, ops) -> None:
        tokens = [make_token(api.user) for _ in range(3)]

        responses = at_once(
            [lambda token=token: Api(token=token).post(f"{ALERTMANAGER}{OPS}", alertmanager()) for token in tokens]
        )

        assert sorted(response.status_code for response in responses) == [200, 200, 202]
        assert api.post(f"{ALERTMANAGER}{OPS}", alertmanager()).json() == REPEATED
        assert [number for number, _ in texts()] == ["+14155550101", "+14155550102"]
        assert AlertNotice.objects.count() == 1


class TestResolved:
    ended = alertmanager(alert(status="resolved"), status="resolved")

    def test_alerts_that_have_ended_are_not_reported(self, api, ops) -> None:
        response = api.post(f"{ALERTMANAGER}{OPS}", self.ended)

        assert (response.status_code, response.json()) == (200, NOTHING)
        assert texts() == []

    def test_an_alert_without_a_state_has_that_of_its_group(self, api, ops) -> None:
        stateless = {name: value for name, value in alert().items() if name != "status"}

        assert api.post(f"{GRAFANA}{OPS}", {"state": "ok", "alerts": [stateless]}).json() == NOTHING
        assert api.post(f"{GRAFANA}{OPS}", {"state": "alerting", "alerts": [stateless]}).json()["sent"] == 2

    @pytest.mark.parametrize(("query", "flag"), [("&resolved=true", False), ("", True)])
    def test_they_are_if_the_request_or_the_receiver_says_so(self, api, ops, query: str, flag: bool) -> None:
        ops.sends_resolved = flag
        ops.save()

        assert api.post(f"{ALERTMANAGER}{OPS}{query}", self.ended).status_code == 202

        assert texts()[0][1] == "RESOLVED HighLoad: load is 17 on web-1"

    def test_the_request_may_say_no(self, api, ops) -> None:
        ops.sends_resolved = True
        ops.save()

        assert api.post(f"{ALERTMANAGER}{OPS}&resolved=false", self.ended).json() == NOTHING

    def test_a_group_of_which_only_a_part_has_ended_is_a_repeat(self, api, ops) -> None:
        api.post(f"{ALERTMANAGER}{OPS}", alertmanager(alert()))

        partly = alertmanager(alert(), alert(number=2, status="resolved"))
        assert api.post(f"{ALERTMANAGER}{OPS}", partly).json() == REPEATED


def test_a_storm_is_held(api, ops) -> None:
    starts = [STARTED.replace("58:41", f"58:{second}") for second in range(10, 20)]

    results = [api.post(f"{ALERTMANAGER}{OPS}", alertmanager(alert(startsAt=start))).json() for start in starts]

    assert [result["held"] for result in results] == [False] * 5 + [True] * 5
    assert [result["sent"] for result in results] == [2] * 5 + [0] * 5


def test_a_token_without_permission_and_none_are_refused(anonymous, member_without_permission, ops) -> None:
    assert_problem(anonymous.post(f"{ALERTMANAGER}{ONE}", alertmanager()), 401, "not_authenticated")
    assert_problem(member_without_permission.post(f"{ALERTMANAGER}{ONE}", alertmanager()), 403, "permission_denied")

    assert not Message.objects.exists()


@pytest.fixture
def member_without_permission(installed) -> Api:
    return Api(UserFactory())


def test_the_number_of_queries_is_constant(api, ops) -> None:
    api.post(f"{ALERTMANAGER}{OPS}", alertmanager(groupKey="first"))
    counts = []
    for size in (1, 500):
        with CaptureQueriesContext(connection) as queries:
            api.post(f"{ALERTMANAGER}{OPS}", alertmanager(*(alert(number=number) for number in range(size))))
        counts.append(len(queries))

    assert counts[0] == counts[1]


@pytest.mark.parametrize("path", [ALERTMANAGER, GRAFANA])
def test_requests_are_counted_as_everywhere_but_answered_so_that_they_are_repeated(api, ops, settings, path) -> None:
    """Alertmanager repeats a webhook after a 5xx status only."""
    settings.RATE_LIMIT_PER_TOKEN = "1/h"
    api.post(f"{ALERTMANAGER}{OPS}", alertmanager())

    refusal = api.post(f"{path}{OPS}", alertmanager())

    assert_problem(refusal, 503, "throttled")
    assert int(refusal["Retry-After"]) >= 1
    assert Message.objects.count() == 2


def test_neither_numbers_nor_names_of_alerts_are_logged(api, ops, caplog) -> None:
    caplog.set_level("DEBUG")

    api.post(f"{ALERTMANAGER}{OPS}", alertmanager())
    api.post(f"{ALERTMANAGER}?to=nonsense", alertmanager())

    logged = json.dumps([record.getMessage() for record in caplog.records if not record.name.startswith("django.db")])
    assert "+1415" not in logged
    assert "HighLoad" not in logged
