"""What only Twilio's callbacks have: its statuses and codes, and the media of incoming texts."""

from urllib.parse import urlencode

import pytest

from providers.contract.callbacks import CallbackRequest, ReportedStatus, StatusReport
from providers.errors import MalformedCallback
from tests.providers.backends.test_twilio import TO, make


def callback(**fields: str) -> CallbackRequest:
    return CallbackRequest(url="https://sms.example.org/", headers={}, body=urlencode(fields).encode())


@pytest.mark.parametrize(
    ("word", "error_code", "status"),
    [
        ("queued", "", ReportedStatus.PROGRESS),
        ("accepted", "", ReportedStatus.PROGRESS),
        ("scheduled", "", ReportedStatus.PROGRESS),
        ("sending", "", ReportedStatus.PROGRESS),
        ("sent", "", ReportedStatus.SENT),
        ("delivered", "", ReportedStatus.DELIVERED),
        ("delivered", "30005", ReportedStatus.DELIVERED),
        ("read", "", ReportedStatus.DELIVERED),
        ("undelivered", "", ReportedStatus.UNDELIVERED),
        ("undelivered", "30003", ReportedStatus.UNDELIVERED),
        ("undelivered", "30005", ReportedStatus.INVALID),
        ("undelivered", "30006", ReportedStatus.INVALID),
        ("undelivered", "21610", ReportedStatus.OPTED_OUT),
        ("failed", "", ReportedStatus.FAILED),
        ("failed", "30001", ReportedStatus.FAILED),
        ("failed", "30004", ReportedStatus.UNDELIVERED),
        ("failed", "30007", ReportedStatus.UNDELIVERED),
        ("failed", "30008", ReportedStatus.UNDELIVERED),
        ("failed", "21614", ReportedStatus.INVALID),
        ("failed", "21211", ReportedStatus.INVALID),
        ("canceled", "", ReportedStatus.CANCELED),
        ("exploded", "30005", ReportedStatus.UNRECOGNIZED),
    ],
)
def test_status_and_code_of_a_receipt_decide_its_meaning(word: str, error_code: str, status: ReportedStatus) -> None:
    fields = {"MessageSid": "SM1", "MessageStatus": word} | ({"ErrorCode": error_code} if error_code else {})

    assert make().parse_status(callback(**fields)) == (StatusReport("SM1", status, word, error_code),)


def test_the_older_names_of_a_receipts_fields_are_understood() -> None:
    [report] = make().parse_status(callback(SmsSid="SM1", SmsStatus="sent"))

    assert report == StatusReport("SM1", ReportedStatus.SENT, "sent")


def test_an_incoming_text_may_have_media() -> None:
    [inbound] = make().parse_inbound(
        callback(
            MessageSid="MM1", From=TO, To="+2", Body="", NumMedia="2", MediaUrl0="https://a/0", MediaUrl1="https://a/1"
        )
    )

    assert (inbound.text, inbound.media_urls) == ("", ("https://a/0", "https://a/1"))


@pytest.mark.parametrize(
    ("media", "usable"),
    [
        ({"NumMedia": "1"}, ()),
        ({"NumMedia": "many"}, ()),
        ({"NumMedia": "1", "MediaUrl0": "file:///etc/passwd"}, ()),
        ({"NumMedia": "2", "MediaUrl0": "\x00", "MediaUrl1": "https://a/1"}, ("https://a/1",)),
        ({"NumMedia": "2", "MediaUrl0": "https://a/" + "x" * 2000, "MediaUrl1": "https://a/1"}, ("https://a/1",)),
        (
            {"NumMedia": "12", **{f"MediaUrl{index}": f"https://a/{index}" for index in range(12)}},
            tuple(f"https://a/{index}" for index in range(10)),
        ),
    ],
    ids=["none is named", "no number", "a file", "a broken one", "a long one", "twelve"],
)
def test_media_that_cannot_be_used_never_cost_the_text(media: dict[str, str], usable: tuple[str, ...]) -> None:
    [inbound] = make().parse_inbound(callback(MessageSid="MM1", From=TO, To="+2", Body="STOP", **media))

    assert (inbound.text, inbound.media_urls) == ("STOP", usable)


def test_a_text_that_names_no_recipient_belongs_to_the_account() -> None:
    [inbound] = make().parse_inbound(callback(MessageSid="SM1", From=TO, Body="STOP"))

    assert (inbound.sender, inbound.recipient, inbound.text) == (TO, "", "STOP")


def test_an_id_that_no_column_can_hold_is_malformed() -> None:
    with pytest.raises(MalformedCallback):
        make().parse_inbound(callback(MessageSid="x" * 129, From=TO, To="+2", Body="hi"))
