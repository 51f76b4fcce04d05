"""Twilio's ids, status words and error codes of our messages."""

from dataclasses import dataclass
from uuid import UUID

import pytest

from messaging import twilio_codes, twilio_ids
from messaging.states import Status

ID = UUID("01981f9a-7c3e-7b6a-9d2e-0f5a4b3c2d1e")
HEX = "01981f9a7c3e7b6a9d2e0f5a4b3c2d1e"


@dataclass
class Row:
    id: UUID = ID
    media_count: int = 0
    status: str = "queued"


def test_a_message_with_media_has_the_other_letters():
    assert twilio_ids.message_sid(Row()) == f"SM{HEX}"
    assert twilio_ids.message_sid(Row(media_count=1)) == f"MM{HEX}"


@pytest.mark.parametrize("sid", [f"SM{HEX}", f"MM{HEX}", f"SM{HEX.upper()}"])
def test_a_sid_leads_back_to_the_message_whatever_its_letters(sid):
    assert twilio_ids.uuid_of(sid) == ID


@pytest.mark.parametrize(
    "sid",
    [
        "",
        HEX,
        f"sm{HEX}",
        f"ME{HEX}",
        f"SM{HEX}0",
        f"SM{HEX[:-1]}",
        f"SM{HEX[:-1]}g",
        f"SM{HEX}\n",
        f"SM{ID}",
        "SM٣" + HEX[1:],
    ],
)
def test_anything_else_is_the_sid_of_no_message(sid):
    assert twilio_ids.uuid_of(sid) is None


def test_a_media_sid_leads_back_to_the_asset_alone():
    assert twilio_ids.asset_of(twilio_ids.media_sid(ID)) == ID
    assert twilio_ids.asset_of(f"SM{HEX}") is None


def test_a_queue_always_has_the_same_service_sid():
    assert twilio_ids.service_sid("express") == twilio_ids.service_sid("express") != twilio_ids.service_sid("bulk")
    assert len(twilio_ids.service_sid("express")) == 34


@pytest.mark.parametrize("status", Status)
def test_every_status_has_a_word(status):
    assert twilio_ids.twilio_status(Row(status=status))


def test_an_unknown_message_is_not_said_to_have_failed():
    assert twilio_ids.twilio_status(Row(status="unknown")) == "sent"


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        ("failed", "recipient_opted_out", 21610),
        ("undelivered", "recipient_invalid", 30006),
        ("failed", "expired", 30036),
        ("failed", "twilio_21408", 21408),
        ("failed", "twilio_21408\n", 30008),
        ("undelivered", "ESME_RINVDSTADR", 30008),
        ("failed", "", 30008),
        ("queued", "no_provider", None),
        ("sent", "receipt_missing", None),
        ("canceled", "canceled_by_provider", None),
        ("delivered", "", None),
    ],
)
def test_only_a_bad_end_has_a_code(status, code, told):
    assert twilio_codes.message_error(status, code) == told
