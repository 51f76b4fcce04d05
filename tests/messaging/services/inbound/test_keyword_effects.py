"""A keyword takes effect in the transaction that accepts its text, not when a worker processes it."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Attachment, Message, Suppression
from messaging.services import transitions
from messaging.services.errors import OptedOut, SenderRateLimited
from messaging.services.inbound import process
from messaging.services.inbound.incoming import IncomingMessage
from messaging.services.inbound.receive import InboundLimits, Received, receive, receive_from_provider
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.submit import MessageInput, submit
from messaging.services.recipients import suppressions
from providers.contract.messages import ProviderKeyword
from tests.factories import AccountFactory, MessageFactory, PhoneNumberFactory, SenderFactory, UserFactory, lose_the_key
from tests.messaging.parallel import at_once
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, dispatcher

PERSON, OURS, OURS_TOO = "+14155550101", "+15005550006", "+15005550007"
LIMITS = InboundLimits(160, 5, timedelta(seconds=60), timedelta(seconds=2))
pytestmark = pytest.mark.usefixtures("express", "ours")


@pytest.fixture
def ours(db):
    return SenderFactory(number=OURS)


@pytest.fixture
def client(db):
    return UserFactory()


@pytest.fixture
def post(client, now):
    """Posts a text of the person as a client does, `after` seconds after `now`."""

    def post(text: str, *, after: float = 0, by=client, **changes) -> Received:
        incoming = IncomingMessage(**{"sender": PERSON, "recipient": OURS, "text": text, **changes})
        return receive(incoming=incoming, owner=by, limits=LIMITS, now=now + timedelta(seconds=after))

    return post


@pytest.fixture
def deliver(account, now):
    """Delivers a text of the person as a provider's callback does, `after` seconds after `now`."""

    def deliver(text: str, *, after: float = 0, **changes) -> Received:
        incoming = IncomingMessage(**{"sender": PERSON, "recipient": OURS, "text": text, **changes})
        return receive_from_provider(
            incoming=incoming, account=account, limits=LIMITS, now=now + timedelta(seconds=after)
        )

    return deliver


@pytest.fixture(params=["by REST", "by a provider"])
def write(request, post, deliver):
    """Both ways of arrival."""
    return post if request.param == "by REST" else deliver


@pytest.fixture
def send(now):
    """Submits a message to the person, as a client does."""

    def send(*, sender: str | None = OURS, to: str = PERSON) -> Message:
        draft = MessageInput(to=to, text="Hello", valid_for=3600, sender=sender)
        return submit(owner=UserFactory(), draft=draft, default_queue="express", now=now)

    return send


def work(now) -> int:
    return process.process(default_queue="express", now=now)


def suppressed() -> set[tuple[str, str]]:
    return set(Suppression.objects.values_list("number", "sender"))


def replies() -> list[str]:
    return list(Message.objects.filter(is_automatic=True, direction="outbound").values_list("text", flat=True))


def history(message: Message) -> list[tuple[str, str]]:
    return [(event.to_status, event.detail) for event in transitions.history(message)]


# --- When it takes effect ---------------------------------------------------------------------------------------------


def test_a_stop_refuses_the_next_message_before_any_worker_has_run(write, send) -> None:
    message = write("Stop.").message

    assert suppressed() == {(PERSON, OURS)}
    with pytest.raises(OptedOut):
        send()
    assert Message.objects.get() == message
    assert (message.status, message.keyword_read_at) == ("received", message.received_at)


def test_a_queued_message_is_not_sent_after_the_stop_is_accepted(write, send) -> None:
    AccountFactory(slug="sends")
    waiting = send()
    write("STOP")
    carrier = Carrier()

    dispatcher(carrier).run("express")

    waiting.refresh_from_db()
    assert (waiting.status, waiting.error_code, waiting.attempts) == ("failed", "recipient_opted_out", 0)
    assert carrier.calls == []


def test_a_claimed_message_without_an_attempt_is_not_sent_either(write, send, now) -> None:
    AccountFactory(slug="sends")
    waiting = send()
    claimed = claim(queue_name="express", limit=10, now=now, lease=LEASE)
    write("STOP")

    assert start_attempts(claimed, now=now, lease=LEASE) == []

    waiting.refresh_from_db()
    assert (waiting.status, waiting.error_code) == ("failed", "recipient_opted_out")


def test_a_start_allows_the_next_message_before_any_worker_has_run(write, send) -> None:
    write("STOP")
    write("START")

    assert suppressed() == set()
    assert send().status == "queued"


def test_stop_all_covers_every_sender_at_once(write, send) -> None:
    SenderFactory(number=OURS_TOO)
    write("STOPALL")

    for sender in (OURS, OURS_TOO, None):
        with pytest.raises(OptedOut):
            send(sender=sender)


def test_a_stop_to_a_number_that_is_not_ours_covers_messages_without_a_sender(write, send) -> None:
    """The provider may have chosen that number."""
    write("STOP", recipient="+15005550099")

    with pytest.raises(OptedOut):
        send(sender=None)
    assert send(sender=OURS).status == "queued"


@pytest.mark.parametrize(
    ("keyword", "after"), [("stop", {(PERSON, OURS)}), ("start", set()), ("help", {(PERSON, "x")})]
)
def test_a_keyword_reported_by_the_provider_takes_effect_at_once(deliver, now, keyword: str, after: set) -> None:
    if keyword != "stop":
        sender = "x" if keyword == "help" else OURS
        suppressions.add_by_keyword(number=PERSON, sender=sender, reason="", posted_by=None, now=now)

    deliver("Arrêt", provider_keyword=ProviderKeyword(keyword))

    assert suppressed() == after


def test_a_stop_with_an_image_takes_effect_at_once(deliver) -> None:
    deliver("STOP", addresses=("https://a.example/1",))

    assert suppressed() == {(PERSON, OURS)}


def test_a_stop_and_its_text_are_stored_together_or_not_at_all(deliver, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("messaging.services.inbound.storing._attach", fail)
    with pytest.raises(RuntimeError):
        deliver("STOP")

    assert (suppressed(), Message.objects.count()) == (set(), 0)


def test_a_clients_text_to_another_clients_number_changes_nothing_there(post, ours) -> None:
    ours.owner = UserFactory()
    ours.save()

    message = post("STOP").message

    assert suppressed() == set()
    assert history(message) == [("received", "stop: the number belongs to another client")]


# --- A STOP that is not stored ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "sender"), [("STOP", OURS), ("stop all", "")])
def test_a_stop_over_the_rate_limit_is_refused_and_takes_effect(post, send, word: str, sender: str) -> None:
    for number in range(5):
        post(f"{number}")

    with pytest.raises(SenderRateLimited):
        post(word)

    assert suppressed() == {(PERSON, sender)}
    assert Suppression.objects.get().reason == f"wrote {word.replace(' ', '_').lower()} (over the rate limit)"
    assert Message.objects.count() == 5
    with pytest.raises(OptedOut):
        send()


def test_a_start_over_the_rate_limit_changes_nothing(post) -> None:
    post("STOP")
    for number in range(4):
        post(f"{number}")

    with pytest.raises(SenderRateLimited):
        post("START")

    assert suppressed() == {(PERSON, OURS)}


def test_a_providers_stop_over_the_limit_is_stored_and_takes_effect(deliver, now) -> None:
    for number in range(5):
        deliver(f"{number}")

    message = deliver("STOP").message

    assert (message.error_code, suppressed()) == ("sender_rate_limited", {(PERSON, OURS)})
    work(now)
    assert replies() == []


def test_a_repeated_stop_within_the_window_takes_effect_after_a_start(write) -> None:
    """It may be the person's third text or the gateway's second delivery of the first: an opt-out is never lost."""
    write("STOP", after=0)
    write("START", after=0.5)

    assert write("STOP", after=1).is_repeat is True

    assert suppressed() == {(PERSON, OURS)}


def test_an_identical_callback_does_not_undo_a_newer_start(deliver) -> None:
    deliver("STOP", provider_message_id="p1")
    deliver("START", provider_message_id="p2")

    assert deliver("STOP", provider_message_id="p1").is_repeat is True

    assert suppressed() == set()


def test_a_repeat_of_a_start_changes_nothing(write) -> None:
    write("START")
    write("STOP", after=0.5)

    assert write("START", after=1).is_repeat is True

    assert suppressed() == {(PERSON, OURS)}


# --- What a worker does later -----------------------------------------------------------------------------------------


def test_the_reply_is_sent_later_and_the_keyword_is_not_applied_again(write, now) -> None:
    message = write("STOP").message
    Suppression.objects.all().delete()  # for instance by staff

    work(now)

    assert (suppressed(), len(replies())) == (set(), 1)
    assert history(message) == [("received", "stop"), ("stored", ""), ("processed", "stop, reply sent")]
    message.refresh_from_db()
    assert message.pending_reply == ""


def test_a_stop_that_is_processed_after_a_newer_start_does_not_undo_it(write, now) -> None:
    stop, start = write("STOP").message, write("START").message

    assert suppressed() == set()
    assert work(now) == 2

    assert suppressed() == set()
    assert [text[:35] for text in replies()] == ["You will get messages from this num"]
    assert history(stop)[-1] == ("processed", "stop: replied to a newer keyword instead")
    assert history(start)[-1] == ("processed", "start, reply sent")


def test_a_start_that_is_processed_after_a_newer_stop_does_not_undo_it(write, now) -> None:
    write("STOP")
    work(now)
    write("START")
    write("STOP", after=5)

    work(now)

    assert suppressed() == {(PERSON, OURS)}


def test_a_second_stop_is_not_confirmed_again(write, now) -> None:
    write("STOP")
    work(now)
    again = write("stop", after=5).message

    work(now + timedelta(hours=2))

    assert len(replies()) == 1
    assert history(again) == [("received", "stop, nothing to change"), ("stored", ""), ("processed", "")]


def test_the_reply_does_not_wait_for_an_image_and_is_sent_once(deliver, now) -> None:
    message = deliver("STOP", addresses=("https://a.example/1",)).message

    assert (work(now), work(now), len(replies())) == (1, 0, 1)
    assert history(message) == [("received", "stop")]
    Attachment.objects.update(next_attempt_at=None)
    work(now)
    assert (history(message)[-1], len(replies())) == (("processed", ""), 1)


def test_an_unreadable_text_gets_its_reply_and_is_processed(write, now) -> None:
    message = write("STOP").message
    lose_the_key(message)

    assert work(now) == 1

    status = Message.objects.values_list("status", flat=True).get(pk=message.pk)
    assert (status, suppressed(), len(replies())) == ("processed", {(PERSON, OURS)}, 1)


def test_a_failed_reply_does_not_roll_the_stop_back(write, now, monkeypatch) -> None:
    write("STOP")

    def fail(*_: object, **__: object) -> None:
        raise KeyError

    with monkeypatch.context() as broken:
        broken.setattr("messaging.services.inbound.replies.send_reply", fail)
        assert work(now) == 0
    assert suppressed() == {(PERSON, OURS)}

    assert work(now + process.RETRY_DELAY) == 1
    assert len(replies()) == 1


@pytest.mark.parametrize(("older", "newer", "stands"), [("STOP", "START", set()), ("START", "STOP", {(PERSON, OURS)})])
def test_a_text_of_an_older_version_does_not_undo_newer_keywords(
    write, now, older: str, newer: str, stands: set
) -> None:
    """Stored before the upgrade, its keyword is applied by the worker unless a newer one contradicts it."""
    PhoneNumberFactory(number=PERSON)
    MessageFactory(inbound=True, from_number=PERSON, to_number=OURS, text=older)
    write(newer)

    work(now)

    assert suppressed() == stands


def test_a_text_of_an_older_version_is_applied_and_gets_its_reply(now) -> None:
    PhoneNumberFactory(number=PERSON)
    MessageFactory(inbound=True, from_number=PERSON, to_number=OURS, text="STOP")

    work(now)

    assert (suppressed(), len(replies())) == ({(PERSON, OURS)}, 1)


# --- Concurrency ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_concurrent_stops_make_one_suppression(post, deliver) -> None:
    clients = [UserFactory() for _ in range(4)]
    calls = [lambda by=by: post("STOP", by=by) for by in clients]
    calls += [lambda n=n: deliver("STOP", provider_message_id=f"p{n}") for n in range(4)]

    results = at_once(calls)

    assert {type(result) for result in results} <= {Received, SenderRateLimited}
    assert suppressed() == {(PERSON, OURS)}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("words", [("STOP", "START"), ("START", "STOP")], ids=" ".join)
def test_of_a_concurrent_stop_and_start_the_last_accepted_wins(deliver, words: tuple[str, str]) -> None:
    results = at_once([lambda word=word: deliver(word, provider_message_id=word) for word in words])

    latest = max((result.message for result in results), key=lambda message: message.pk)
    assert suppressed() == ({(PERSON, OURS)} if latest.text == "STOP" else set())


@pytest.mark.django_db(transaction=True)
def test_a_message_accepted_concurrently_with_a_stop_is_not_sent_after_it(deliver, send) -> None:
    """A message checked before the STOP may be accepted after it; the check before the call refuses it."""
    AccountFactory(slug="sends")
    results = at_once([lambda: deliver("STOP"), *[send] * 6])
    carrier = Carrier()

    dispatcher(carrier).run("express")

    accepted = [result for result in results if isinstance(result, Message)]
    assert {type(result) for result in results} <= {Received, Message, OptedOut}
    assert carrier.calls == []
    assert Message.objects.filter(status="failed", error_code="recipient_opted_out").count() == len(accepted)
    with pytest.raises(OptedOut):
        send()


# --- Number of queries ------------------------------------------------------------------------------------------------


def test_the_cost_does_not_grow_with_the_senders_texts(deliver, now) -> None:
    def queries(text: str) -> int:
        with CaptureQueriesContext(connection) as seen:
            deliver(text, provider_message_id=text)
        return len(seen)

    deliver("warm")
    few = queries("STOP")
    MessageFactory.create_batch(
        20, inbound=True, from_number=PERSON, to_number=OURS, received_at=now, keyword_read_at=now, text="a"
    )

    assert queries("stop") <= few
