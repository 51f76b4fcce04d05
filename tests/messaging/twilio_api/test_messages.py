"""One message: fetch, cancel, redact, delete, feedback."""

from uuid import UUID

import pytest
from twilio.base.exceptions import TwilioRestException

from messaging import twilio_codes, twilio_ids
from messaging.models import Message, MessageEvent
from messaging.states import INBOUND, OUTBOUND, Status
from tests.factories import NOW, MessageFactory, lose_the_key
from tests.messaging.twilio_api.conftest import SENDER, TO, Twilio, message_of
from tests.messaging.twilio_api.facts import assert_error, assert_resource

pytestmark = pytest.mark.django_db
SM = "SM" + "0" * 32


def stored(twilio: Twilio, status: Status = Status.DELIVERED, **values: object) -> Message:
    traits = {Status.SENDING: {"sending": True}, Status.DELIVERED: {"delivered": True}, Status.SENT: {"sent": True}}
    if status in INBOUND:
        traits[status] = {"inbound": True, "status": status}
    return MessageFactory(**{"owner": twilio.user, **traits.get(status, {"status": status}), **values})


def sid(row: Message) -> str:
    return twilio_ids.message_sid(row)


def raised(call) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as refusal:
        call()
    return refusal.value.status, refusal.value.code


@pytest.mark.parametrize("status", sorted(OUTBOUND | INBOUND))
def test_every_status_has_an_answer_as_documented(twilio: Twilio, status: Status) -> None:
    row = stored(twilio, Status(status))

    body = twilio.get(f"Messages/{sid(row)}.json").json()

    assert_resource("message", body)
    assert body["direction"] == ("inbound" if status in INBOUND else "outbound-api")


def test_the_sdk_fetches_a_message(twilio: Twilio, client) -> None:
    row = stored(twilio, to_number=TO, text="Hello", error_code="", segments=3)

    found = client.messages(sid(row)).fetch()

    assert (found.sid, found.body, found.status, found.num_segments) == (sid(row), "Hello", "delivered", "3")
    assert found.date_sent.timestamp() == NOW.timestamp()
    assert found.uri == f"/2010-04-01/Accounts/{twilio.sid}/Messages/{sid(row)}.json"


@pytest.mark.parametrize("code", [*twilio_codes.CODES, "twilio_30004", "worker_lost", ""])
def test_a_bad_end_has_twilios_code(twilio: Twilio, code: str) -> None:
    row = stored(twilio, Status.FAILED, error_code=code, error_detail="The reason.")

    body = twilio.get(f"Messages/{sid(row)}.json").json()

    assert body["error_code"] == twilio_codes.message_error("failed", code)
    assert_resource("message", body)


def test_the_sid_may_be_written_in_any_way(twilio: Twilio) -> None:
    row = stored(twilio)

    for written in (f"SM{row.pk.hex}", f"MM{row.pk.hex}", f"SM{row.pk.hex.upper()}"):
        body = twilio.get(f"Messages/{written}").json()
        assert body["sid"] == written
        assert_resource("message", body)


@pytest.mark.parametrize("wrong", [SM, "SMx", "ME" + "0" * 32, str(UUID(int=7))])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_message_is_404(twilio: Twilio, wrong: str, method: str) -> None:
    assert_error(twilio(method, f"Messages/{wrong}.json", {"Body": ""}), 404, 20404)


def test_an_unreadable_text_fails_one_message_and_no_list(twilio: Twilio) -> None:
    row = stored(twilio)
    lose_the_key(row)

    assert_error(twilio.get(f"Messages/{sid(row)}.json"), 503, 20503)
    assert [each["body"] for each in twilio.get("Messages.json").json()["messages"]] == [""]


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED])
def test_the_sdk_cancels_a_waiting_message(twilio: Twilio, client, status: Status) -> None:
    row = stored(twilio, status)

    found = client.messages(sid(row)).update(status="canceled")

    assert found.status == "canceled"
    assert message_of(sid(row)).status == Status.CANCELED
    assert MessageEvent.objects.get(message=row, to_status="canceled").actor == twilio.user


@pytest.mark.parametrize("status", sorted((OUTBOUND | INBOUND) - {Status.SCHEDULED, Status.QUEUED}))
def test_it_is_too_late_to_cancel(twilio: Twilio, client, status: Status) -> None:
    row = stored(twilio, Status(status))

    assert raised(lambda: client.messages(sid(row)).update(status="canceled")) == (409, 30409)
    assert message_of(sid(row)).status == status


ENDED = [
    Status.DELIVERED,
    Status.UNDELIVERED,
    Status.FAILED,
    Status.CANCELED,
    Status.SENT,
    Status.UNKNOWN,
    Status.PROCESSED,
]
IN_PROGRESS = sorted((OUTBOUND | INBOUND) - set(ENDED))


@pytest.mark.parametrize("status", ENDED)
def test_the_sdk_redacts_and_deletes_an_ended_message(twilio: Twilio, client, status: Status) -> None:
    row = stored(twilio, status, text="a secret")

    found = client.messages(sid(row)).update(body="")
    assert (found.body, found.num_media) == ("", "0")
    assert message_of(sid(row)).erased_at is not None
    assert client.messages(sid(row)).update(body="").body == ""

    assert client.messages(sid(row)).delete() is True
    assert not Message.objects.exists()
    assert raised(lambda: client.messages(sid(row)).fetch()) == (404, 20404)
    assert raised(lambda: client.messages(sid(row)).delete()) == (404, 20404)


@pytest.mark.parametrize("status", IN_PROGRESS)
def test_a_message_in_progress_is_neither_redacted_nor_deleted(twilio: Twilio, client, status: Status) -> None:
    row = stored(twilio, Status(status), text="a secret")

    assert raised(lambda: client.messages(sid(row)).update(body="")) == (409, 20009)
    assert raised(lambda: client.messages(sid(row)).delete()) == (409, 20009)
    assert message_of(sid(row)).text == "a secret"


def test_a_message_is_canceled_and_redacted_at_once(twilio: Twilio) -> None:
    row = stored(twilio, Status.SCHEDULED, text="a secret")

    body = twilio.post(f"Messages/{sid(row)}.json", Status="canceled", Body="").json()

    assert (body["status"], body["body"]) == ("canceled", "")


@pytest.mark.parametrize("fields", [{}, {"Status": "sent"}, {"Body": "new"}, {"Status": "canceled", "Body": "new"}])
def test_nothing_else_can_be_set(twilio: Twilio, fields: dict[str, str]) -> None:
    row = stored(twilio, Status.SCHEDULED)

    assert_error(twilio.post(f"Messages/{sid(row)}.json", **fields), 400, 20001)
    assert message_of(sid(row)).status == Status.SCHEDULED


@pytest.mark.parametrize("outcome", ["confirmed", "unconfirmed"])
def test_feedback_is_taken(twilio: Twilio, client, outcome: str) -> None:
    row = stored(twilio)

    found = client.messages(sid(row)).feedback.create(outcome=outcome)

    assert (found.outcome, found.message_sid) == (outcome, sid(row))
    assert_resource("feedback", twilio.post(f"Messages/{sid(row)}/Feedback.json", Outcome=outcome).json())


def test_other_feedback_is_refused(twilio: Twilio) -> None:
    row = stored(twilio)

    assert_error(twilio.post(f"Messages/{sid(row)}/Feedback.json", Outcome="bad"), 400, 20001)
    assert_error(twilio.post(f"Messages/{SM}/Feedback.json"), 404, 20404)


def test_an_automatic_reply_is_one(twilio: Twilio) -> None:
    row = stored(twilio, is_automatic=True, from_number=SENDER)

    assert twilio.get(f"Messages/{sid(row)}.json").json()["direction"] == "outbound-reply"
