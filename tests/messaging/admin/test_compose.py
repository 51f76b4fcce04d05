"""The page to write a message: its category, and *Check*, which sends nothing."""

import pytest

from messaging.models import Message, Suppression
from tests.factories import NOW, AccountFactory, HoursRuleFactory

URL = "/admin/messaging/message/send/"
FORM = {"to": "+1 415 555 0101", "text": "Hello", "sender": "", "queue": "express", "reference": ""}
SENDER = ("messaging.add_message", "messaging.view_message")


@pytest.fixture(autouse=True)
def _queue(express) -> None:
    AccountFactory(slug="acme")


def test_check_tells_the_verdict_and_sends_nothing(staff) -> None:
    response = staff(*SENDER).post(URL, FORM | {"category": "otp", "check": "1"})

    checked = response.context["checked"]
    assert (checked["verdict"], checked["country"]) == ("passed", "US")
    assert [(line["title"], line["tone"]) for line in checked["lines"]] == [
        ("The number is active", "passed"),
        ("The recipient has not opted out", "passed"),
        ("Texts to this number are allowed", "passed"),
        ("The recipient's country takes this sender", "passed"),
        ("It is an hour in which it may be sent", "passed"),
        ("The budgets have room for it", "passed"),
        ("A provider account takes it", "passed"),
    ]
    assert checked["routes"] == [{"provider": "acme", "share": "100%", "reason": ""}]
    content = response.content.decode()
    assert "This message would be sent now." in content
    assert 'value="+1 415 555 0101"' in content  # the form keeps what was written
    assert not Message.objects.exists()


def test_check_says_why_a_message_would_not_be_sent(staff) -> None:
    Suppression.objects.create(number="+14155550101", source="keyword", created_at=NOW)

    content = staff(*SENDER).post(URL, FORM | {"check": "1"}).content.decode()

    assert "This message would not be sent." in content
    assert "recipient_opted_out" in content
    assert "The recipient has opted out of messages from this sender." in content


def test_check_tells_until_when_a_message_would_wait(staff) -> None:
    HoursRuleFactory(id="closed", hours=[[]] * 7)

    response = staff(*SENDER).post(URL, FORM | {"category": "marketing", "check": "1"})

    content = response.content.decode()
    assert "This message would wait, and be sent then." in content
    assert "outside_hours" in content
    assert response.context["checked"]["time_zones"] == "America/Los_Angeles"
    assert "America/Los_Angeles" in content


def test_check_shows_the_errors_of_the_form(staff) -> None:
    response = staff(*SENDER).post(URL, FORM | {"text": "漢" * 700, "check": "1"})

    assert response.context["checked"] is None
    assert "10 is the limit" in response.content.decode()


def test_the_category_is_sent_with_the_message(staff) -> None:
    staff(*SENDER).post(URL, FORM | {"category": "marketing"})

    assert Message.objects.get().category == "marketing"


def test_a_message_without_a_category_is_transactional(staff) -> None:
    staff(*SENDER).post(URL, FORM)

    assert Message.objects.get().category == "transactional"


def test_an_emergency_is_offered_to_those_who_may_send_it_only(staff) -> None:
    assert b'value="emergency"' not in staff(*SENDER).get(URL).content
    staff(*SENDER).post(URL, FORM | {"category": "emergency"})
    assert not Message.objects.exists()

    allowed = staff(*SENDER, "messaging.send_emergency")
    assert b'value="emergency"' in allowed.get(URL).content
    allowed.post(URL, FORM | {"category": "emergency"})
    assert (Message.objects.get().category, Message.objects.get().priority) == ("emergency", 0)


def test_the_page_of_a_message_shows_its_category_and_parameters(admin) -> None:
    admin.post(URL, FORM | {"category": "otp"})
    Message.objects.update(parameters={"entity_id": "1101<b>"})

    content = admin.get(f"/admin/messaging/message/{Message.objects.get().pk}/change/").content.decode()

    assert "<dt>Category</dt><dd>otp</dd>" in content
    assert "<dt>entity_id</dt><dd>1101&lt;b&gt;</dd>" in content


def test_check_tells_what_smart_encoding_would_save(staff) -> None:
    text = "\u201c" + "x" * 100

    content = staff(*SENDER).post(URL, FORM | {"text": text, "check": "1"}).content.decode()

    assert "It would save 1 of 2 segments." in content
    assert "Smart encoding" not in staff(*SENDER).post(URL, FORM | {"check": "1"}).content.decode()
