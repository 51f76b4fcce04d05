"""Unknown fields and query parameters are 400 with the closest known name, and nothing changes."""

import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from rest_framework import serializers

from messaging.api import live
from messaging.api.known_names import MAX_NAME, MAX_REPORTED, NameKind, StrictSerializer, nearest, printable, unknown
from messaging.api.serializers import NewMessageSerializer
from messaging.live.admission import RequestStage
from messaging.models import (
    Budget,
    IdempotencyRecord,
    Message,
    PhoneNumber,
    PrefixRule,
    Suppression,
    VelocityLimit,
    WebhookDelivery,
    WebhookEndpoint,
)
from scheduling.models import Schedule, ScheduleRecipient
from tests.factories import NOW, EndpointFactory, MessageFactory, PhoneNumberFactory, WebhookDeliveryFactory
from tests.messaging.api.conftest import Api, assert_problem, errors_of

PK = "0191d2a4-7c1e-7b3a-9f10-2f6f3f1c9a55"
NUMBER = "+14155550101"
PATH = {"id": PK, "delivery_id": PK, "number": NUMBER, "name": "express", "slug": "acme"}
NEW = {"to": NUMBER, "message": "Hello"}
MISSING = "no such error"
OF_OTHER_SYSTEMS = ("Supabase", "AlertRequest")  # parts of their bodies
BASIC = f"Basic {base64.b64encode(b'client:a good password').decode()}"
SCHEDULE = {"name": "n", "message": "Hi {name}", "run_at": "2999-01-01T09:00:00"}


class Operation(NamedTuple):
    """Return the OpenAPI description of one operation."""

    method: str
    path: str
    query: list[str]
    bodies: dict[str, list[str]]
    """The fields of its body by media type; empty for one that takes none."""

    @property
    def takes_our_body(self) -> bool:
        """The integrations take other systems' bodies, to which they add fields as they like."""
        return self.method != "GET" and "/integrations/" not in self.path


def misspelt(name: str) -> str:
    return f"{name}{name[-1]}"


def fields_of(schema: dict, schemas: dict) -> list[str]:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    return list(schema.get("properties", {})) or [
        name for each in schema.get("oneOf", ()) for name in fields_of(each, schemas)
    ]


def operations(document: dict) -> Iterator[Operation]:
    """All but the provider callbacks: carriers add fields as they like."""
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        if "/webhooks/" in path:
            continue
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            yield Operation(
                method.upper(),
                path.format(**PATH),
                [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"],
                {media_type: fields_of(body["schema"], schemas) for media_type, body in content.items()},
            )


@pytest.fixture
def documented(client: Client) -> list[Operation]:
    return list(operations(client.get("/api/schema/").json()))


@pytest.fixture
def anything(api: Api, settings, monkeypatch) -> Api:
    """A client that may do everything, rows that paths can name, and a process that serves `/live/` as well."""
    settings.RATE_LIMIT_PER_TOKEN = "1000000/s"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    api.user.set_password("a good password")
    api.user.is_staff = True
    api.user.save()
    api.user.user_permissions.set(Permission.objects.all())
    MessageFactory(pk=PK, owner=api.user, to_number=NUMBER, status="queued")
    PhoneNumberFactory(number=NUMBER)
    WebhookDeliveryFactory(pk=PK, endpoint=EndpointFactory(pk=PK, owner=api.user), state="failed")
    Schedule.objects.create(
        pk=PK, owner=api.user, name="n", text="t", queue_id="express", start_wall="2999-01-01T00:00:00",
        time_zone="UTC", valid_for=60, created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    Budget.objects.create(pk=PK, owner=api.user, period="day", limit_units=1, created_at=NOW, updated_at=NOW)
    PrefixRule.objects.create(pk=PK, owner=api.user, prefix="+881", is_allowed=True, changed_at=NOW)
    VelocityLimit.objects.create(pk=PK, owner=api.user, changed_at=NOW)
    Suppression.objects.create(pk=PK, number=NUMBER, source="api", created_by=api.user, created_at=NOW)
    monkeypatch.setattr(live, "stage_of", lambda request: RequestStage.ARRIVED)
    return api


def everything() -> list[list[dict]]:
    models = (Message, PhoneNumber, Schedule, ScheduleRecipient, Suppression, WebhookDelivery, WebhookEndpoint)
    return [list(model.objects.order_by("pk").values()) for model in models]


def errors_in(response: Any) -> dict[tuple[str, str], str]:
    """Return the detail of each error by field and code. Empty if the response is not a 400."""
    body = json.loads(response.getvalue() or b"{}") if response.status_code == 400 else {}
    return {(error["field"], error["code"]): error["detail"] for error in body.get("errors", ())}


def call(anything: Api, operation: Operation, query: str = "", **options: Any) -> Any:
    if "/auth/token/" in operation.path:
        options["Authorization"] = BASIC
    return anything(operation.method, f"{operation.path}{query}", **options)


def with_field(operation: Operation, media_type: str, name: str) -> tuple[str, bytes]:
    """A content type, and a body of it with this field alone."""
    if media_type == "multipart/form-data":
        return MULTIPART_CONTENT, encode_multipart(BOUNDARY, {name: "x"})
    return "application/json", json.dumps({name: "x"}).encode()


class TestEveryOperation:
    """Of the OpenAPI document: a new view that forgets the check fails here."""

    def test_a_query_parameter_that_does_not_exist_is_refused(self, anything: Api, documented) -> None:
        before, lenient = everything(), []

        for operation in documented:
            name, hint = "nonsense", "'nonsense'"
            if operation.query:
                name, hint = misspelt(operation.query[0]), f"'{operation.query[0]}'"
            errors = errors_in(call(anything, operation, f"?{name}=x"))
            if hint not in errors.get((name, "unknown_filter"), MISSING):
                lenient.append((operation, errors))

        assert lenient == []
        assert len(documented) > 60
        assert everything() == before

    def test_documented_parameters_are_accepted(self, anything: Api, documented) -> None:
        strict = []

        for operation in documented:
            for name in operation.query:
                errors = errors_in(call(anything, operation, f"?{name}=x"))
                strict += [(operation, error) for error in errors if "unknown_filter" in error]

        assert strict == []

    def test_a_field_that_does_not_exist_is_refused(self, anything: Api, documented) -> None:
        before, lenient = everything(), []

        for operation in documented:
            if not operation.takes_our_body:
                continue
            default = "multipart/form-data" if "/media/" in operation.path else "application/json"
            for media_type, known in (operation.bodies or {default: []}).items():
                name, hint = (misspelt(known[0]), f"'{known[0]}'") if known else ("nonsense", "'nonsense'")
                content_type, data = with_field(operation, media_type, name)
                response = call(anything, operation, data=data, content_type=content_type)
                if hint not in errors_in(response).get((name, "unknown_field"), MISSING):
                    lenient.append((operation, media_type, response.content))

        assert lenient == []
        assert everything() == before

    def test_documented_bodies_allow_no_other_fields(self, client: Client) -> None:
        document = client.get("/api/schema/").json()
        foreign = json.dumps([methods for path, methods in document["paths"].items() if "/integrations/" in path])
        requests = {
            name: schema
            for name, schema in document["components"]["schemas"].items()
            if name.endswith("Request") and f'/{name}"' not in foreign and not name.startswith(OF_OTHER_SYSTEMS)
        }

        assert requests
        assert {name for name, schema in requests.items() if schema.get("additionalProperties") is not False} == set()


class TestMessages:
    def test_a_misspelt_time_sends_nothing(self, api: Api) -> None:
        response = api.post("messages/", {**NEW, "sendAt": "2999-01-01T00:00:00Z"})

        body = assert_problem(response, 400, "invalid")
        detail = "There is no field 'sendAt'. Did you mean 'send_at'?"
        assert body["errors"] == [{"field": "sendAt", "code": "unknown_field", "detail": detail}]
        assert not Message.objects.exists()

    def test_an_unknown_field_is_reported_with_the_other_errors(self, api: Api) -> None:
        response = api.post("messages/", {"to": "nonsense", "mesage": "Hello"})

        assert errors_of(response) == {
            ("mesage", "unknown_field"), ("to", "invalid_number"), ("message", "required"),
        }  # fmt: skip

    def test_a_refused_request_does_not_use_the_key(self, api: Api) -> None:
        refused = api.post("messages/", {**NEW, "sendAt": None}, Idempotency_Key="k")
        sent = api.post("messages/", NEW, Idempotency_Key="k")

        assert (refused.status_code, sent.status_code) == (400, 202)
        assert "Idempotent-Replay" not in sent.headers
        assert IdempotencyRecord.objects.count() == 1

    def test_a_bad_item_does_not_stop_good_ones(self, api: Api) -> None:
        response = api.post("messages/batch/", {"messages": [{**NEW, "validFor": 60}, NEW]})

        bad, good = response.json()["results"]
        assert response.status_code == 202
        assert [(error["field"], error["code"]) for error in bad["error"]["errors"]] == [("validFor", "unknown_field")]
        assert str(Message.objects.get().pk) == good["id"]

    @pytest.mark.parametrize(
        ("query", "field", "near"),
        [
            ("statuss=failed", "statuss", "status"),
            ("createdAfter=x", "createdAfter", "created_after"),
            ("page=2", "page", ""),
        ],
    )
    def test_a_misspelt_filter_lists_nothing(self, api: Api, query: str, field: str, near: str) -> None:
        [error] = assert_problem(api.get(f"messages/?{query}"), 400, "invalid")["errors"]

        assert (error["field"], error["code"]) == (field, "unknown_filter")
        assert error["detail"].endswith(f" Did you mean '{near}'?" if near else f"'{field}'.")

    def test_filters_of_the_list_are_refused_for_a_single_message(self, api: Api) -> None:
        message = MessageFactory(owner=api.user)

        response = api.get(f"messages/{message.pk}/?status={message.status}")

        assert errors_of(response) == {("status", "unknown_filter")}

    def test_page_links_are_accepted(self, api: Api) -> None:
        MessageFactory.create_batch(3, owner=api.user)

        by_offset = api.get("messages/?limit=1&offset=1&ordering=created_at").json()
        by_key = api.get("messages/?limit=1&cursor=").json()

        assert all(
            api.get(url).status_code == 200 for url in (by_offset["next"], by_offset["previous"], by_key["next"])
        )

    def test_without_a_token_it_is_401_all_the_same(self, anonymous: Api) -> None:
        assert_problem(anonymous.get("messages/?statuss=failed"), 401, "not_authenticated")


class TestSchedules:
    def test_a_misspelt_zone_or_recurrence_creates_no_schedule(self, api: Api) -> None:
        given = {**SCHEDULE, "timezone": "Europe/Berlin", "recurence": "RRULE:FREQ=DAILY"}

        body = assert_problem(api.post("schedules/", given), 400, "invalid")

        assert [error["detail"] for error in body["errors"]] == [
            "There is no field 'timezone'. Did you mean 'time_zone'?",
            "There is no field 'recurence'. Did you mean 'recurrence'?",
        ]
        assert not Schedule.objects.exists()

    def test_a_recipient_has_no_other_fields_but_any_variables(self, api: Api) -> None:
        good = {"to": NUMBER, "variables": {"name": "Ada", "anything": "else"}}
        bad = {"to": NUMBER, "variabels": {"name": "Ada"}}

        refused = api.post("schedules/", {**SCHEDULE, "recipients": [good, bad]})
        made = api.post("schedules/", {**SCHEDULE, "recipients": [good]})

        assert errors_of(refused) == {("recipients.1.variabels", "unknown_field")}
        assert made.status_code == 201

    def test_valid_recipients_of_a_list_are_kept(self, api: Api) -> None:
        pk = api.post("schedules/", {**SCHEDULE, "message": "Hi"}).json()["id"]
        rows = [{"to": NUMBER}, {"to": "+14155550102", "variabels": {}}]

        report = api.post(f"schedules/{pk}/recipients/", rows).json()

        assert (report["added"], report["rejected"]) == (1, 1)
        assert [(error["field"], error["code"]) for error in report["errors"]] == [("variabels", "unknown_field")]

    def test_a_form_has_no_other_fields(self, api: Api) -> None:
        pk = api.post("schedules/", {**SCHEDULE, "message": "Hi"}).json()["id"]
        form = encode_multipart(BOUNDARY, {"file": "to\n+14155550101\n", "defaultCountry": "US"})

        response = api.post(f"schedules/{pk}/recipients/", data=form, content_type=MULTIPART_CONTENT)

        assert errors_of(response) == {("defaultCountry", "unknown_field")}
        assert not ScheduleRecipient.objects.exists()

    def test_an_unknown_report_adds_no_recipient(self, api: Api) -> None:
        pk = api.post("schedules/", {**SCHEDULE, "message": "Hi"}).json()["id"]

        response = api.post(f"schedules/{pk}/recipients/?report=cvs", [NUMBER])

        assert errors_of(response) == {("report", "invalid_choice")}
        assert not ScheduleRecipient.objects.exists()


class TestFieldsThatCannotBeSet:
    @pytest.mark.parametrize("field", ["id", "disabled_reason", "failing_since", "created_at", "updated_at", "secret"])
    def test_read_only_fields_of_an_endpoint_are_refused_in_a_patch(self, api: Api, field: str) -> None:
        endpoint = EndpointFactory(owner=api.user)

        response = api("PATCH", f"webhook-endpoints/{endpoint.pk}/", {field: None, "description": "new"})

        assert errors_of(response) == {(field, "read_only")}
        endpoint.refresh_from_db()
        assert endpoint.description != "new"

    def test_a_new_endpoint_cannot_be_created_disabled(self, api: Api) -> None:
        response = api.post("webhook-endpoints/", {"url": "https://client.example.com/hook", "is_enabled": False})

        assert errors_of(response) == {("is_enabled", "read_only")}
        assert not WebhookEndpoint.objects.exists()

    def test_read_only_fields_are_not_suggested(self) -> None:
        class Shown(StrictSerializer):
            identity = serializers.CharField(read_only=True)
            name = serializers.CharField()

        serializer = Shown(data={"identty": "x", "name": "n"})

        assert not serializer.is_valid()
        assert serializer.errors == {"identty": ["There is no field 'identty'."]}


class TestNamesFromOutside:
    @pytest.mark.parametrize(
        ("name", "near"),
        [
            *[("sendAt", "send_at"), ("SendAt", "send_at"), ("send-at", "send_at"), ("TO", "to"), ("form", "from")],
            *[
                ("callbackUrl", "callback_url"),
                ("validfor", "valid_for"),
                ("", None),
                ("zzz", None),
                ("é" * 10_000, None),
            ],
        ],
    )
    def test_the_nearest_name(self, name: str, near: str | None) -> None:
        assert nearest(name, NewMessageSerializer().fields) == near

    def test_a_response_quotes_a_bounded_part_of_a_name(self, api: Api) -> None:
        body = assert_problem(api.post("messages/", {**NEW, "x" * 100_000: 1}), 400, "invalid")

        [error] = body["errors"]
        assert error["field"] == f"{'x' * MAX_NAME}…"
        assert len(error["detail"]) < 200

    def test_a_response_reports_a_bounded_number_of_names(self, api: Api) -> None:
        body = assert_problem(api.post("messages/", NEW | {f"x{number}": 1 for number in range(1_000)}), 400, "invalid")

        assert len(body["errors"]) == MAX_REPORTED
        assert len(unknown(NameKind.QUERY, map(str, range(1_000)), ())) == MAX_REPORTED

    @pytest.mark.parametrize(
        ("name", "shown"), [("a\nb", r"a\nb"), ("\u202eevil", r"\u202eevil"), ("\ud800", r"\ud800")]
    )
    def test_unprintable_characters_are_escaped(self, name: str, shown: str) -> None:
        assert printable(name) == shown


def test_a_stream_resumes_after_the_id_in_the_query(anything: Api) -> None:
    """`EventSource` cannot set headers, and some polyfills send the last id as this parameter."""
    assert errors_in(anything.get("live/events/?lastEventId=999999")) == {
        ("lastEventId", "invalid"): "This is not the id of an event.",
    }  # fmt: skip
    assert anything.get("live/events/?lastEventId=0").order.after == 0
