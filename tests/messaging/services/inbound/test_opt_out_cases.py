"""A text that probably means STOP opens a case in the transaction that accepts it, and suppresses nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from messaging.models import KeywordRule, Message, OptOutCase, Suppression
from messaging.services.errors import CaseDecided, SenderRateLimited
from messaging.services.inbound.incoming import IncomingMessage
from messaging.services.inbound.receive import InboundLimits, Received, ingest, receive, receive_from_provider
from messaging.services.recipients import opt_out_cases
from providers.contract.messages import InboundMessage, MessagePart, ProviderKeyword
from tests.factories import SenderFactory, UserFactory
from tests.messaging.parallel import at_once

PERSON, OURS = "+14155550101", "+15005550006"
WORDS = "please stop texting me"
LIMITS = InboundLimits(160, 5, timedelta(seconds=60), timedelta(seconds=2))
pytestmark = pytest.mark.usefixtures("express", "ours")


@pytest.fixture
def client(db):
    return UserFactory()


@pytest.fixture
def ours(client):
    return SenderFactory(number=OURS, owner=client)


@pytest.fixture
def deliver(account, now):
    def deliver(text: str, *, after: float = 0, **changes) -> Received:
        incoming = IncomingMessage(**{"sender": PERSON, "recipient": OURS, "text": text, **changes})
        return receive_from_provider(
            incoming=incoming, account=account, limits=LIMITS, now=now + timedelta(seconds=after)
        )

    return deliver


@pytest.fixture
def post(client, now):
    def post(text: str, *, by=client, after: float = 0) -> Received:
        incoming = IncomingMessage(sender=PERSON, recipient=OURS, text=text)
        return receive(incoming=incoming, owner=by, limits=LIMITS, now=now + timedelta(seconds=after))

    return post


@pytest.fixture
def case(deliver) -> OptOutCase:
    deliver(WORDS)
    return OptOutCase.objects.get()


def test_such_a_text_opens_a_case_with_its_words_and_a_deadline(deliver, client, now, settings) -> None:
    settings.POLICY_DEFAULT_TIME_ZONE = "America/New_York"

    message = deliver(WORDS).message

    case = OptOutCase.objects.get()
    assert (case.number, case.sender, case.senders, case.owner) == (PERSON, OURS, [OURS], client)
    assert (case.message_id, case.text, case.opened_at, case.decision) == (message.pk, WORDS, now, "")
    # From Sunday, 22 November, without Thanksgiving on the 26th.
    assert case.due_at == datetime(2026, 12, 7, 9, 0, tzinfo=UTC)
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("text", ["STOP", "don't stop", "HELP", "stop by at 5"])
def test_keywords_and_other_texts_open_none(deliver, text: str) -> None:
    deliver(text)

    assert not OptOutCase.objects.exists()


def test_a_text_that_the_provider_has_classified_opens_none(deliver) -> None:
    deliver(WORDS, provider_keyword=ProviderKeyword.STOP)

    assert Suppression.objects.count() == 1
    assert not OptOutCase.objects.exists()


def test_a_word_of_the_operator_is_a_keyword_alone_and_a_case_as_a_clause(deliver) -> None:
    KeywordRule.objects.create(action="stop", words="BASTA", reply="")

    deliver("Ciao, basta!")
    assert OptOutCase.objects.get().text == "Ciao, basta!"
    assert not Suppression.objects.exists()

    deliver("basta", after=60)
    assert [*Suppression.objects.values_list("number", "sender")] == [(PERSON, OURS)]
    assert OptOutCase.objects.get().decision == "suppressed"


def test_another_such_text_opens_no_second_case(deliver) -> None:
    deliver(WORDS)
    deliver("leave me alone", after=60)

    assert [case.text for case in OptOutCase.objects.all()] == [WORDS]


def test_a_person_who_has_opted_out_opens_none(deliver) -> None:
    deliver("STOP")
    deliver(WORDS, after=60)

    assert not OptOutCase.objects.exists()


def test_a_text_posted_to_another_clients_number_opens_none(post) -> None:
    post(WORDS, by=UserFactory())

    assert Message.objects.count() == 1
    assert not OptOutCase.objects.exists()


def test_a_text_over_the_rate_limit_opens_one_though_it_is_not_stored(post) -> None:
    for place in range(LIMITS.messages):
        post(f"text {place}")

    with pytest.raises(SenderRateLimited):
        post(WORDS)

    case = OptOutCase.objects.get()
    assert (case.text, case.message_id) == (WORDS, None)


def test_a_text_in_parts_is_read_when_it_is_whole(account, now) -> None:
    def part(number: int, text: str) -> None:
        place = MessagePart(reference="7", number=number, count=2)
        ingest(
            InboundMessage(sender=PERSON, recipient=OURS, text=text, provider_message_id="", part=place),
            account=account,
            limits=LIMITS,
            now=now,
        )

    part(1, "please stop tex")
    assert not OptOutCase.objects.exists()

    part(2, "ting me")
    assert OptOutCase.objects.get().text == WORDS


def test_a_case_is_opened_with_its_message_or_not_at_all(deliver, monkeypatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("messaging.services.inbound.keyword_effects.opt_out_cases.open_case", fail)
    with pytest.raises(RuntimeError):
        deliver(WORDS)

    assert not Message.objects.exists()


def test_suppressing_stores_who_when_and_why(case, now) -> None:
    anna = UserFactory()

    opt_out_cases.suppress(case_id=case.pk, actor=anna, is_staff=True, note="clear", now=now + timedelta(days=1))

    row = Suppression.objects.get()
    assert (row.number, row.sender, row.source, row.channel) == (PERSON, OURS, "admin", "text")
    assert (row.requested_at, row.created_by, row.note) == (now, anna, "clear")
    assert str(case.pk) in row.reason
    case.refresh_from_db()
    assert (case.decision, case.decided_by, case.decided_at, case.note) == (
        "suppressed", anna, now + timedelta(days=1), "clear"
    )  # fmt: skip


def test_a_decided_case_cannot_be_decided_again(case, now) -> None:
    opt_out_cases.dismiss(case_id=case.pk, actor=UserFactory(), note="a joke", now=now)

    with pytest.raises(CaseDecided):
        opt_out_cases.suppress(case_id=case.pk, actor=UserFactory(), is_staff=True, note="", now=now)

    assert not Suppression.objects.exists()


def test_after_a_dismissal_the_next_text_opens_a_new_case(case, deliver, now) -> None:
    opt_out_cases.dismiss(case_id=case.pk, actor=UserFactory(), note="a joke", now=now)

    deliver(WORDS, after=60)

    assert sorted(OptOutCase.objects.values_list("decision", flat=True)) == ["", "dismissed"]


def test_a_stop_settles_the_open_case(case, deliver, now) -> None:
    deliver("STOP", after=60)

    case.refresh_from_db()
    assert (case.decision, case.decided_by, case.note) == ("suppressed", None, "The person wrote stop.")


def test_a_start_does_not_lift_what_staff_suppressed(case, deliver, now) -> None:
    opt_out_cases.suppress(case_id=case.pk, actor=UserFactory(), is_staff=True, note="", now=now)

    deliver("START", after=60)

    assert Suppression.objects.filter(channel="text").exists()


def test_a_deleted_message_leaves_the_evidence(case) -> None:
    Message.objects.all().delete()

    case.refresh_from_db()
    assert (case.message_id, case.text) == (None, WORDS)


def test_decided_cases_are_forgotten_after_their_days_and_open_ones_never(case, deliver, now, settings) -> None:
    settings.OPT_OUT_EVIDENCE_DAYS = 30
    opt_out_cases.dismiss(case_id=case.pk, actor=UserFactory(), note="a joke", now=now)
    deliver(WORDS, after=60)

    assert opt_out_cases.forget(now=now + timedelta(days=30)) == 0
    assert opt_out_cases.forget(now=now + timedelta(days=31)) == 1

    assert [case.decision for case in OptOutCase.objects.all()] == [""]


def test_counts_are_of_open_cases(case, now) -> None:
    assert opt_out_cases.counts(now=case.due_at) == opt_out_cases.CaseCounts(1, 0)
    assert opt_out_cases.counts(now=case.due_at + timedelta(seconds=1)) == opt_out_cases.CaseCounts(1, 1)


@pytest.mark.django_db(transaction=True)
def test_concurrent_texts_open_one_case(deliver) -> None:
    calls = [lambda n=n: deliver(f"{WORDS} {'!' * n}", provider_message_id=f"p{n}") for n in range(6)]

    results = at_once(calls)

    assert {type(result) for result in results} == {Received}
    assert OptOutCase.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_concurrent_decisions_one_counts(case, now) -> None:
    anna, bert = UserFactory(), UserFactory()

    results = at_once(
        [
            lambda: opt_out_cases.suppress(case_id=case.pk, actor=anna, is_staff=True, note="", now=now),
            lambda: opt_out_cases.dismiss(case_id=case.pk, actor=bert, note="a joke", now=now),
        ]
    )

    assert sorted(type(result).__name__ for result in results) == ["CaseDecided", "OptOutCase"]
    case.refresh_from_db()
    assert Suppression.objects.exists() == (case.decision == "suppressed")
