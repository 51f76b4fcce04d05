"""REST views of suppressions."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Message, Suppression
from messaging.services.installation import API_READER, OPERATOR
from messaging.services.recipients import suppressions
from tests.factories import AccountFactory, SenderFactory
from tests.messaging.api.conftest import assert_problem, errors_of

PERSON, OURS = "+14155550101", "+15005550006"


def suppress(now, sender: str = "", number: str = PERSON, **changes) -> Suppression:
    return Suppression.objects.create(number=number, sender=sender, source="keyword", created_at=now, **changes)


def test_a_suppression_is_made_and_read(api) -> None:
    SenderFactory(number=OURS, owner=api.user)

    response = api.post("suppressions/", {"number": "+1 (415) 555-0101", "sender": OURS, "reason": "asked by phone"})

    row = Suppression.objects.get()
    assert response.status_code == 201
    assert response.headers["Location"] == f"http://testserver/api/v1/suppressions/{row.pk}/"
    body = response.json()
    assert api.get(f"suppressions/{row.pk}/").json() == body
    assert body.pop("created_at").endswith("Z")
    assert body == {
        "id": str(row.pk), "number": PERSON, "sender": OURS, "reason": "asked by phone", "source": "api",
        "requested_at": None, "note": None,
    }  # fmt: skip
    assert row.created_by == api.user


def test_an_existing_suppression_is_200_and_keeps_its_reason(api) -> None:
    first = api.post("suppressions/", {"number": PERSON, "reason": "first"})

    again = api.post("suppressions/", {"number": PERSON, "sender": None, "reason": "second"})

    assert (again.status_code, again.json()) == (200, first.json())
    assert first.json()["sender"] is None
    assert Suppression.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {("number", "required")}),
        ({"number": "12345"}, {("number", "invalid_number")}),
        ({"number": PERSON, "sender": "a name too long"}, {("sender", "invalid_sender")}),
        ({"number": PERSON, "reason": "x" * 201}, {("reason", "max_length")}),
        ({"number": PERSON, "reason": 5}, {("reason", "invalid")}),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_invalid_input_is_400(api, body: dict, errors: set) -> None:
    assert errors_of(api.post("suppressions/", body)) == errors

    assert not Suppression.objects.exists()


def test_a_sender_number_of_another_client_is_refused(api, stranger) -> None:
    SenderFactory(number=OURS, owner=stranger.user)

    assert errors_of(api.post("suppressions/", {"number": PERSON, "sender": OURS})) == {
        ("sender", "sender_not_allowed")
    }

    assert not Suppression.objects.exists()


@pytest.mark.parametrize("sender", ["80888", "ACME"])
def test_messages_from_a_short_code_or_name_can_be_suppressed(api, sender: str) -> None:
    SenderFactory(number=sender, owner=api.user)

    assert api.post("suppressions/", {"number": PERSON, "sender": sender}).json()["sender"] == sender

    refused = api.post("messages/", {"to": PERSON, "message": "Hello", "from": sender})
    assert_problem(refused, 409, "recipient_opted_out")


def test_suppressions_for_a_sender_number_of_another_client_are_404(api, stranger, now) -> None:
    SenderFactory(number=OURS, owner=stranger.user)
    theirs, everybodys = suppress(now, OURS), suppress(now)

    assert [row["id"] for row in api.get("suppressions/").json()["results"]] == [str(everybodys.pk)]
    assert_problem(api.get(f"suppressions/{theirs.pk}/"), 404, "not_found")
    assert_problem(api("DELETE", f"suppressions/{theirs.pk}/"), 404, "not_found")
    assert [row["id"] for row in stranger.get("suppressions/").json()["results"]] == [
        str(everybodys.pk),
        str(theirs.pk),
    ]
    assert Suppression.objects.count() == 2


def test_messages_are_accepted_after_a_suppression_is_deleted(api, now) -> None:
    SenderFactory(number=OURS, owner=api.user)
    row = suppress(now, OURS)
    send = {"to": PERSON, "message": "Hello", "from": OURS}
    assert_problem(api.post("messages/", send), 409, "recipient_opted_out")
    assert not Message.objects.exists()

    response = api("DELETE", f"suppressions/{row.pk}/")

    assert (response.status_code, response.content) == (204, b"")
    assert_problem(api("DELETE", f"suppressions/{row.pk}/"), 404, "not_found")
    assert api.post("messages/", send).status_code == 202


@pytest.mark.parametrize(
    "sender", ["", OURS, "+15005550099"], ids=["every sender", "a shared number", "no number of ours"]
)
def test_only_staff_can_lift_a_suppression_that_protects_from_all_clients(api, member_of, now, sender: str) -> None:
    SenderFactory(number=OURS, owner=None)
    row = suppress(now, sender)

    assert_problem(api("DELETE", f"suppressions/{row.pk}/"), 403, "permission_denied")
    assert Suppression.objects.get() == row

    staff = member_of(OPERATOR)
    staff.user.is_staff = True
    staff.user.save()
    assert staff("DELETE", f"suppressions/{row.pk}/").status_code == 204
    assert not Suppression.objects.exists()


def test_a_client_can_lift_its_own_suppressions_and_no_others(api, stranger) -> None:
    made = api.post("suppressions/", {"number": PERSON}).json()

    assert_problem(stranger("DELETE", f"suppressions/{made['id']}/"), 404, "not_found")
    assert stranger("GET", "suppressions/").json()["results"] == []
    assert api("DELETE", f"suppressions/{made['id']}/").status_code == 204


def test_lifting_a_suppression_keeps_those_of_other_clients(api, stranger, now) -> None:
    theirs = stranger.post("suppressions/", {"number": PERSON, "reason": "their reason"}).json()
    suppressions.add_by_keyword(number=PERSON, sender="", reason="wrote stop_all", posted_by=None, now=now)

    mine = api.post("suppressions/", {"number": PERSON, "reason": "mine"})

    assert (mine.status_code, mine.json()["reason"]) == (201, "mine")
    assert api("DELETE", f"suppressions/{mine.json()['id']}/").status_code == 204
    assert_problem(api.post("messages/", {"to": PERSON, "message": "Hello"}), 409, "recipient_opted_out")
    assert {row["source"] for row in api("GET", "suppressions/").json()["results"]} == {"keyword"}
    assert Suppression.objects.filter(pk=theirs["id"]).exists()


@pytest.mark.parametrize(
    ("sender", "named", "answer"),
    [(OURS, OURS, 409), (OURS, None, 409), ("", OURS, 409), ("+15005550007", OURS, 202), ("+15005550007", None, 202)],
)
def test_an_opt_out_from_one_sender_refuses_messages_that_may_use_it(
    api, now, sender: str, named: str | None, answer: int
) -> None:
    AccountFactory(slug="own", config={"url": "http://127.0.0.1:9/", "from_number": OURS})
    SenderFactory(number=OURS, owner=api.user)
    SenderFactory(number="+15005550007", owner=api.user)
    suppress(now, sender)

    assert api.post("messages/", {"to": PERSON, "message": "Hello", "from": named}).status_code == answer


def test_one_of_a_batch_is_refused_and_the_others_are_not(api, now) -> None:
    suppress(now)

    body = api.post(
        "messages/batch/",
        {"messages": [{"to": PERSON, "message": "a"}, {"to": "+14155550102", "message": "b"}]},
    ).json()

    assert (body["accepted"], body["rejected"]) == (1, 1)
    assert body["results"][0]["error"]["code"] == "recipient_opted_out"


def test_the_list_is_filtered_and_its_cost_does_not_grow(api, now) -> None:
    suppress(now)
    with CaptureQueriesContext(connection) as few:
        api.get("suppressions/")
    for number in range(4):
        suppress(now, number=f"+1415555020{number}")

    with CaptureQueriesContext(connection) as many:
        assert api.get("suppressions/").json()["count"] == 5

    assert len(many) == len(few)
    assert [row["number"] for row in api.get("suppressions/?number=14155550101").json()["results"]] == [PERSON]


def test_a_reader_cannot_change_suppressions(member_of, now) -> None:
    reader = member_of(API_READER)
    row = suppress(now)

    assert_problem(reader.post("suppressions/", {"number": PERSON}), 403, "permission_denied")
    assert_problem(reader("DELETE", f"suppressions/{row.pk}/"), 403, "permission_denied")
    assert reader.get("suppressions/").json()["count"] == 1
    assert Suppression.objects.get() == row


def test_an_opt_out_that_came_otherwise_has_its_source_time_and_note(api) -> None:
    body = {"number": PERSON, "source": "phone", "requested_at": "2026-11-03T10:00:00+01:00", "note": "call 4711"}

    made = api.post("suppressions/", body).json()
    other = api.post("suppressions/", {**body, "source": "letter"}).json()

    assert (made["source"], made["requested_at"], made["note"]) == ("phone", "2026-11-03T09:00:00Z", "call 4711")
    assert other["id"] != made["id"]
    assert api.post("suppressions/", {**body, "note": "again"}).json() == made
    assert set(Suppression.objects.values_list("source", "channel")) == {("api", "phone"), ("api", "letter")}


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"source": "keyword"}, {("source", "invalid_choice")}),
        ({"source": "phone", "requested_at": "2999-01-01T00:00:00Z"}, {("requested_at", "in_the_future")}),
        ({"source": "phone", "requested_at": "2026-11-03"}, {("requested_at", "time_missing")}),
        ({"requested_at": "2026-11-03T10:00:00Z"}, {("requested_at", "source_missing")}),
        ({"note": "call"}, {("note", "source_missing")}),
    ],
)
def test_a_source_time_or_note_that_cannot_be_is_400(api, body: dict, errors: set) -> None:
    assert errors_of(api.post("suppressions/", {"number": PERSON, **body})) == errors

    assert not Suppression.objects.exists()


def test_a_start_by_keyword_leaves_an_opt_out_by_letter(api, now) -> None:
    api.post("suppressions/", {"number": PERSON, "source": "letter"})

    suppressions.lift(number=PERSON, senders=[""], posted_by=None)

    assert Suppression.objects.get().channel == "letter"


def test_a_note_of_staff_is_not_for_clients(api, now) -> None:
    row = suppress(now)
    Suppression.objects.filter(pk=row.pk).update(source="admin", channel="letter", note="folder 7")

    body = api.get(f"suppressions/{row.pk}/").json()

    assert (body["source"], body["note"]) == ("letter", None)
