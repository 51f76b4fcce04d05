"""The loop with real commits and threads: no transaction is open during a call."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection

from messaging.models import DeliveryAttempt, Message
from messaging.services.outbound.dispatch import Dispatcher
from messaging.services.outbound.dispatch.sending import SendResult
from providers.errors import Unavailable
from tests.factories import AccountFactory, MessageFactory, QueueFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, Clock, dispatcher, result_of
from tests.messaging.services.outbound.dispatch.test_dispatcher import statuses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("express")]


class TestForReal:
    def test_no_transaction_is_open_during_a_call(self, account) -> None:
        AccountFactory()
        MessageFactory.create_batch(5)
        seen = []
        carrier = Carrier(acme=Unavailable("down"))
        carrier.before_response = lambda _call: seen.append((connection.in_atomic_block, connection.get_autocommit()))

        dispatcher(carrier).run("express")

        assert set(seen) == {(False, True)}
        assert len(seen) >= 5

    def test_the_attempt_is_committed_before_the_call(self, account) -> None:
        MessageFactory()
        seen = []
        carrier = Carrier()

        def check(call) -> None:
            [found] = at_once([lambda: DeliveryAttempt.objects.filter(pk=call.attempt_id, outcome="calling").count()])
            seen.append(found)

        carrier.before_response = check
        dispatcher(carrier).run("express")

        assert seen == [1]

    def test_dispatchers_in_several_threads_send_each_message_once(self, account) -> None:
        owner, queue = UserFactory(), QueueFactory()
        MessageFactory.create_batch(60, owner=owner, queue=queue)
        called, guard = Counter(), threading.Lock()

        def call(made) -> SendResult:
            with guard:
                called[made.message.pk] += 1
            return result_of(made)

        def work() -> int:
            worker = Dispatcher(concurrency=4, lease=LEASE, send=call)
            try:
                return worker.run("express")
            finally:
                worker._runners["express"].executor.shutdown()

        Message.objects.update(expires_at=Clock()() + timedelta(days=3650))
        claimed = at_once([work] * 4)

        assert sum(claimed) == 60
        assert set(called.values()) == {1}
        assert len(called) == 60
        assert statuses() == {"sent": 60}

    def test_a_second_run_in_the_process_makes_the_first_one_check_again(self, account) -> None:
        MessageFactory()
        carrier = Carrier()
        loop = dispatcher(carrier)
        nested = []

        def run_again(_call) -> None:
            if len(carrier.calls) == 1:
                MessageFactory()
                nested.append(loop.run("express"))

        carrier.before_response = run_again
        assert loop.run("express") == 2

        assert nested == [0]
        assert statuses() == {"sent": 2}
