"""A reply that names no readable number of ours belongs to the account that brought it."""

from datetime import timedelta

import pytest

from messaging.models import KeywordRule, Message, Suppression
from messaging.services.errors import OptedOut
from messaging.services.inbound import process
from messaging.services.inbound.receive import InboundLimits, ingest
from messaging.services.outbound.submit import MessageInput, submit
from messaging.services.representation import serialize_message
from providers.contract.messages import InboundMessage
from tests.factories import AccountFactory, MessageFactory, SenderFactory, UserFactory

PERSON, OURS, OURS_TOO = "+14155550101", "+15005550006", "+15005550007"
LIMITS = InboundLimits(160, 5, timedelta(seconds=60), timedelta(seconds=2))
pytestmark = pytest.mark.usefixtures("express")


@pytest.fixture
def reply(account, now):
    def reply(words: str = "Hello", *, account=account, **changes) -> Message:
        given = {"provider_message_id": "", "sender": PERSON, "recipient": "", "text": words, **changes}
        received = ingest(InboundMessage(**given), account=account, limits=LIMITS, now=now)
        assert received is not None
        return Message.objects.get(pk=received.message.pk)

    return reply


@pytest.fixture
def own_number(account):
    """The account's own number."""
    account.config |= {"from_number": OURS}
    account.save()
    return OURS


def send(now, *, sender: str | None = None) -> Message:
    draft = MessageInput(to=PERSON, text="Hello", valid_for=3600, sender=sender)
    return submit(owner=UserFactory(), draft=draft, default_queue="express", now=now)


def suppressed() -> set[tuple[str, str]]:
    return set(Suppression.objects.values_list("number", "sender"))


def test_it_is_stored_without_a_recipient(reply, account) -> None:
    message = reply()

    assert (message.to_number, message.error_code, message.owner) == ("", "", None)
    assert (message.provider, message.text) == (account, "Hello")
    assert serialize_message(message)["to"] is None


def test_it_belongs_to_the_owner_of_the_accounts_last_message_to_that_person(reply, account, now) -> None:
    MessageFactory(sent=True, to_number=PERSON, provider=account)
    last = MessageFactory(sent=True, to_number=PERSON, provider=account)
    MessageFactory(sent=True, to_number=PERSON, provider=account, is_automatic=True)
    MessageFactory(sent=True, to_number=PERSON, provider=AccountFactory())
    MessageFactory(sent=True, to_number="+14155550102", provider=account)

    assert reply().owner == last.owner
    assert reply("As well", recipient="an unreadable recipient").owner == last.owner


def test_an_older_message_decides_nothing(reply, account, now) -> None:
    MessageFactory(sent=True, to_number=PERSON, provider=account, created_at=now - timedelta(days=31))

    assert reply().owner is None


def test_a_reply_to_a_long_short_code_of_a_client_is_that_clients(reply, account) -> None:
    MessageFactory(sent=True, to_number=PERSON, provider=account)
    code = SenderFactory(number="80888123", owner=UserFactory())

    message = reply("STOP", recipient="80888123")

    assert (message.owner, message.error_code) == (code.owner, "")
    assert suppressed() == {(PERSON, "80888123")}


def test_a_stop_ends_every_sender_that_the_account_uses_for_the_person(reply, account, own_number, now) -> None:
    SenderFactory(number=OURS_TOO)
    SenderFactory(number="+15005550008", account=account)
    elsewhere = SenderFactory(number="+15005550009")
    MessageFactory(sent=True, to_number=PERSON, provider=account, from_number=OURS_TOO)
    MessageFactory(sent=True, to_number=PERSON, provider=AccountFactory(), from_number=str(elsewhere.number))

    reply("STOP")

    assert suppressed() == {(PERSON, OURS), (PERSON, OURS_TOO), (PERSON, "+15005550008")}
    for sender in (None, OURS_TOO, "+15005550008"):
        with pytest.raises(OptedOut):
            send(now, sender=sender)
    assert send(now, sender=str(elsewhere.number)).status == "queued"


def test_a_stop_ends_every_sender_if_the_accounts_are_not_known(reply, account, now) -> None:
    SenderFactory(number=OURS)
    MessageFactory(sent=True, to_number=PERSON, provider=account, from_number="")

    reply("STOP")

    assert suppressed() == {(PERSON, "")}
    for sender in (None, OURS):
        with pytest.raises(OptedOut):
            send(now, sender=sender)


def test_a_stop_ends_every_sender_if_one_of_the_accounts_is_not_known(reply, account, now) -> None:
    """The provider chose the number of one text, and another one named a sender that is used only when it is named."""
    SenderFactory(number=OURS)
    MessageFactory(sent=True, to_number=PERSON, provider=account, from_number="")
    MessageFactory(sent=True, to_number=PERSON, provider=account, from_number=OURS)

    reply("STOP")

    for sender in (None, OURS):
        with pytest.raises(OptedOut):
            send(now, sender=sender)
    reply("START")
    assert suppressed() == set()


def test_a_stop_to_a_number_that_we_do_not_know_ends_the_accounts_senders_too(reply, account, own_number, now) -> None:
    MessageFactory(sent=True, to_number=PERSON, provider=account, from_number=OURS_TOO)
    MessageFactory(sent=True, to_number=PERSON, provider=account, from_number="")

    reply("STOP", recipient="80999")

    assert suppressed() == {(PERSON, "80999"), (PERSON, OURS), (PERSON, OURS_TOO)}
    with pytest.raises(OptedOut):
        send(now)


def test_a_stop_to_a_number_of_ours_ends_only_that_one(reply, account, own_number) -> None:
    SenderFactory(number=OURS_TOO)
    MessageFactory(sent=True, to_number=PERSON, provider=account, from_number="ACME")

    for recipient in (OURS, OURS_TOO, "ACME"):
        reply("STOP", recipient=recipient)

    assert suppressed() == {(PERSON, OURS), (PERSON, OURS_TOO), (PERSON, "ACME")}


def test_a_start_takes_the_stop_back(reply, account, own_number, now) -> None:
    MessageFactory(sent=True, to_number=PERSON, provider=account, from_number=OURS_TOO)
    reply("STOP")

    reply("START")

    assert suppressed() == set()


def test_a_stop_to_an_unreadable_recipient_ends_the_accounts_senders_too(reply, own_number, now) -> None:
    reply("STOP", recipient="5005550006")

    assert suppressed() == {(PERSON, OURS), (PERSON, "5005550006")}
    with pytest.raises(OptedOut):
        send(now)


def test_the_automatic_reply_comes_from_the_accounts_own_number_by_its_rules(reply, own_number, now) -> None:
    KeywordRule.objects.create(sender_number=SenderFactory(number=OURS), action="help", words="AIDE", reply="Bonjour")
    reply("aide")

    process.process(default_queue="express", now=now)

    answer = Message.objects.get(direction="outbound")
    assert (answer.from_number, answer.to_number, answer.text) == (OURS, PERSON, "Bonjour")


def test_without_a_number_of_its_own_there_is_no_automatic_reply(reply, now) -> None:
    reply("HELP")

    assert process.process(default_queue="express", now=now) == 1
    assert not Message.objects.filter(direction="outbound").exists()


def test_an_equal_text_without_an_id_is_a_repeat(reply) -> None:
    assert reply() == reply()
