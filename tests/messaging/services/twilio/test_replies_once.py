"""Replies are stored once for a delivery, and loops come to an end."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from uuid_utils.compat import uuid7

from messaging.inbound_limits import inbound_limits
from messaging.models import Message, WebhookDelivery
from messaging.services.inbound import process
from messaging.services.inbound.marks import RATE_LIMITED
from messaging.services.inbound.receive import ingest
from messaging.services.twilio import replies
from messaging.services.twilio.replies import reply_id
from messaging.services.webhooks import redelivery
from messaging.services.webhooks.claim import claim, return_expired_claims
from messaging.services.webhooks.settle import Result, settle
from providers.contract.messages import InboundMessage
from providers.models import ProviderAccount
from tests.factories import (
    NOW,
    AccountFactory,
    EndpointFactory,
    SenderFactory,
)
from tests.messaging.services.twilio.applications import LEASE, OURS, PERSON, hello, obey, sent, text_of

pytestmark = pytest.mark.django_db


class TestLoops:
    def test_a_text_over_the_rate_limit_gets_no_reply(self, owner: User, application) -> None:
        text_of(owner, error_code=RATE_LIMITED.code, error_detail=RATE_LIMITED.detail)

        assert application.run("<Message>Hi</Message>") == RATE_LIMITED.detail

        assert sent() == []

    def test_two_applications_that_answer_each_other_come_to_an_end(self, owner: User, application) -> None:
        """Each reply arrives as a text at the other number within the same minute."""
        other = "+15005550007"
        SenderFactory(number=other, owner=owner)
        account = AccountFactory()
        application.answer = "<Response><Message>Hi</Message></Response>"
        EndpointFactory(owner=owner, dialect="twilio")
        arrives(account, other, OURS, "0")

        for round_number in range(1, 30):
            process.process(default_queue="express", now=NOW)
            before = len(sent())
            application.run()
            fresh = sent()[before:]
            for sender, recipient, _ in fresh:
                arrives(account, sender, recipient, str(round_number))
            if not fresh:
                break

        assert len(sent()) == 2 * inbound_limits().messages


class TestExactlyOnce:
    def test_a_lost_claim_obeys_nothing(self, owner: User) -> None:
        message = text_of(owner)
        [job] = claim(limit=1, in_flight=[], now=NOW, lease=LEASE)
        WebhookDelivery.objects.update(claim_id=uuid4())  # another worker has it
        result = Result(job, status=200, answers=(hello(),))

        settle([result], now=NOW, positions=[0.5], obey=obey)

        assert sent() == []
        assert WebhookDelivery.objects.get().state == "sending"
        assert message.status == "processed"

    def test_the_same_result_twice_is_obeyed_once(self, owner: User) -> None:
        text_of(owner)
        [job] = claim(limit=1, in_flight=[], now=NOW, lease=LEASE)
        result = Result(job, status=200, answers=(hello(),))

        for _ in range(2):
            settle([result], now=NOW, positions=[0.5], obey=obey)

        assert sent() == [(OURS, PERSON, "Hello")]

    def test_a_repeated_call_after_a_lost_worker_is_obeyed_once(self, owner: User, application) -> None:
        """The worker died after the call: nothing was obeyed, so the repeat is."""
        text_of(owner)
        claim(limit=1, in_flight=[], now=NOW, lease=LEASE)
        application.clock.forward(minutes=2)
        application.answer = "<Response><Message>Hello</Message></Response>"
        return_expired_claims(now=application.clock.now)
        application.clock.forward(minutes=1)
        application.run()

        assert sent() == [(OURS, PERSON, "Hello")]

    def test_nothing_is_stored_if_the_delivery_is_not(self, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
        text_of(owner)
        [job] = claim(limit=1, in_flight=[], now=NOW, lease=LEASE)

        def fail(*_: object) -> None:
            raise OperationalError("the connection is lost")

        monkeypatch.setattr("messaging.services.webhooks.settle.save_together", fail)
        with pytest.raises(OperationalError):
            settle([Result(job, status=200, answers=(hello(),))], now=NOW, positions=[0.5], obey=obey)

        assert sent() == []
        assert WebhookDelivery.objects.get().state == "sending"

    def test_a_redelivery_is_not_obeyed_again(self, owner: User, application) -> None:
        text_of(owner)
        application.run("<Message>Hello</Message>")
        application.clock.forward(days=1)
        redelivery.redeliver(delivery_id=WebhookDelivery.objects.get().pk, now=application.clock.now)

        application.run("<Message>Hello again</Message><Message>and again</Message>")

        assert len(application.receiver.calls) == 2
        assert sent() == [(OURS, PERSON, "Hello")]

    def test_a_redelivery_is_not_obeyed_again_after_its_reply_was_deleted(self, owner: User, application) -> None:
        text_of(owner)
        application.run("<Message>Hello</Message>")
        Message.objects.get(text="Hello").delete()
        redelivery.redeliver(delivery_id=WebhookDelivery.objects.get().pk, now=NOW)

        application.run("<Message>Hello</Message>")

        assert sent() == []

    def test_a_redelivery_is_not_obeyed_again_with_fewer_replies(self, owner: User, application) -> None:
        text_of(owner)
        application.run('<Message to="nobody">Hello</Message><Message>Hello again</Message>')
        redelivery.redeliver(delivery_id=WebhookDelivery.objects.get().pk, now=NOW)

        application.run("<Message>Hello again</Message>")

        assert sent() == [(OURS, PERSON, "Hello again")]

    def test_a_redelivery_is_obeyed_if_nothing_could_be_sent_before(self, owner: User, application) -> None:
        text_of(owner)
        application.run("<Message>")
        redelivery.redeliver(delivery_id=WebhookDelivery.objects.get().pk, now=NOW)

        assert application.run("<Message>Hello</Message>") == ""

        assert sent() == [(OURS, PERSON, "Hello")]

    def test_a_bug_does_not_repeat_the_call(
        self, owner: User, application, monkeypatch: pytest.MonkeyPatch, caplog
    ) -> None:
        text_of(owner)

        def fail(**_: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO messaging_message (id) VALUES (NULL)")

        monkeypatch.setattr(replies, "submit_many", fail)

        assert application.run("<Message>Hello</Message>") == replies.OUR_FAILURE

        assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
            "TwiML replies could not be stored: IntegrityError"
        ]

    def test_ids_of_replies_are_stable_ordered_and_distinct(self) -> None:
        one, other = uuid7(), uuid7()
        ids = [reply_id(one, position) for position in range(100)]

        assert ids == sorted(ids) == [reply_id(one, position) for position in range(100)]
        assert len({*ids, reply_id(other, 0)}) == 101
        assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
        assert all(each.bytes[:6] == one.bytes[:6] for each in ids)


def arrives(account: ProviderAccount, sender: str, recipient: str, words: str) -> None:
    text = InboundMessage(f"in-{sender}-{words}", sender, recipient, f"Hi {words}")
    ingest(text, account=account, limits=inbound_limits(), now=NOW)
