"""Answers that no worker waits for any more."""

from datetime import timedelta

import pytest

from messaging.models import AttemptPart, DeliveryAttempt
from messaging.smpp_connector import late_answers
from messaging.smpp_connector.submissions import Submission
from messaging.states import Status
from providers.smpp.constants import CommandId, CommandStatus
from providers.smpp.pdu import Pdu, message_id_body
from tests.factories import NOW, AccountFactory, AttemptFactory, MessageFactory

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(seconds=20)


@pytest.fixture
def attempt() -> DeliveryAttempt:
    """Its worker has given up: the message is `unknown`."""
    account = AccountFactory(slug="carrier", backend="smpp")
    message = MessageFactory(status=Status.UNKNOWN, provider=account, attempts=1)
    return AttemptFactory(message=message, provider=account, number=1, outcome="unknown")


def submission(attempt_id: object, *answers: Pdu | None) -> Submission:
    made = Submission("carrier", str(attempt_id), "message", [b"x"] * len(answers), 5.0)
    made.answers = list(answers)
    return made


def answer(message_id: str = "", status: int = 0) -> Pdu:
    return Pdu(CommandId.SUBMIT_SM | 0x80000000, status, 1, message_id_body(message_id))


def test_a_late_acceptance_makes_the_message_sent_with_its_id(attempt) -> None:
    assert late_answers.save(submission(attempt.pk, answer("4711")), now=LATER)
    attempt.refresh_from_db()
    message = attempt.message
    message.refresh_from_db()
    assert (attempt.outcome, attempt.provider_message_id) == ("accepted", "4711")
    assert (message.status, message.provider_message_id, message.error_code) == (Status.SENT, "4711", "")


def test_the_parts_of_a_long_text_keep_their_ids(attempt) -> None:
    assert late_answers.save(submission(attempt.pk, answer("a"), answer("b")), now=LATER)
    assert set(AttemptPart.objects.values_list("provider_message_id", flat=True)) == {"a", "b"}


def test_a_late_refusal_makes_the_message_failed(attempt) -> None:
    assert late_answers.save(submission(attempt.pk, answer(status=CommandStatus.RINVDSTADR)), now=LATER)
    attempt.message.refresh_from_db()
    assert attempt.message.status == Status.FAILED
    assert "ESME_RINVDSTADR" in attempt.message.error_detail


def test_a_text_of_which_parts_were_accepted_stays_unknown(attempt) -> None:
    parts = submission(attempt.pk, answer("a"), answer(status=CommandStatus.RSYSERR))
    assert not late_answers.save(parts, now=LATER)
    attempt.message.refresh_from_db()
    assert attempt.message.status == Status.UNKNOWN


def test_a_result_that_is_known_is_not_changed(attempt) -> None:
    late_answers.save(submission(attempt.pk, answer("first")), now=LATER)
    assert not late_answers.save(submission(attempt.pk, answer("second")), now=LATER)
    attempt.refresh_from_db()
    assert attempt.provider_message_id == "first"


@pytest.mark.parametrize("attempt_id", ["", "test", "01a22d44-ff02-7703-9be4-8b48201f6962"])
def test_a_test_message_and_an_erased_one_have_no_attempt(attempt, attempt_id: str) -> None:
    assert not late_answers.save(submission(attempt_id, answer("4711")), now=LATER)
