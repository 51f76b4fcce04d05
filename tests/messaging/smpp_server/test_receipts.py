"""Receipts: exactly one for each submission that asked, kept until the client has acknowledged it."""

import re
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from messaging.models import GatewayReceipt, Message
from messaging.services import transitions
from messaging.services.outbound.cancel import cancel
from messaging.services.transitions import Transition
from messaging.services.webhooks import event_log, gateway_receipts
from messaging.states import Source, Status
from tests.factories import GatewayCredentialFactory, GatewayReceiptFactory
from tests.messaging.smpp_server.test_server import message_id

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = re.compile(
    rb"id:(\S{36}) sub:001 dlvrd:00[01] submit date:\d{10} done date:\d{10} stat:([A-Z]{7}) err:(\d{3}) text:"
)


def deliver(message: Message, *statuses: Status, error_code: str = "") -> None:
    """Take the message through its statuses, as dispatch and a receipt do, and number the events."""
    now = timezone.now()
    for status in statuses:
        message.error_code = error_code if status is Status.FAILED else ""
        if status is Status.SENDING:
            message.claim_id, message.lease_until = message.pk, now + timedelta(seconds=30)
        if status is Status.DELIVERED:
            message.delivered_at = message.sent_at = now
        fields = ["error_code", "delivered_at", "sent_at"]
        transitions.apply([Transition(message, status, Source.RECEIPT)], now=now, fields=fields)
    event_log.number(now=now)


def submitted(client, **fields) -> Message:
    told = message_id(client.answer_to_submit(registered_delivery=1, **fields))
    return Message.objects.get(pk=UUID(told))


def test_a_delivered_message_brings_one_receipt(connect, credential, gateway) -> None:
    client = connect()
    message = submitted(client)

    deliver(message, Status.SENDING, Status.SENT, Status.DELIVERED)
    [pdu] = client.read_until(1)

    found = TEXT.fullmatch(pdu.short_message)
    assert found is not None, pdu.short_message
    assert found.groups() == (str(message.pk).encode(), b"DELIVRD", b"000")
    assert (pdu.esm_class, pdu.source_addr, pdu.destination_addr) == (4, b"14155550101", b"+15005550006")
    assert (pdu.dest_addr_ton, pdu.source_addr_ton) == (1, 1)
    assert (pdu.receipted_message_id.rstrip(b"\0"), pdu.message_state) == (str(message.pk).encode(), 2)
    client.unbind()
    client.close()
    gateway.stop()
    assert not GatewayReceipt.objects.exists()


@pytest.mark.parametrize(
    ("statuses", "error", "expected"),
    [
        ([Status.SENDING, Status.SENT, Status.UNDELIVERED], "", (b"UNDELIV", b"255")),
        ([Status.SENDING, Status.FAILED], "provider_rejected", (b"REJECTD", b"255")),
        ([Status.SENDING, Status.FAILED], "recipient_invalid", (b"REJECTD", b"011")),
        ([Status.FAILED], "expired", (b"EXPIRED", b"000")),
    ],
)
def test_other_ends_are_told_too(connect, credential, statuses, error, expected) -> None:
    client = connect()

    deliver(submitted(client), *statuses, error_code=error)

    [pdu] = client.read_until(1)
    assert TEXT.fullmatch(pdu.short_message).groups()[1:] == expected


def test_a_canceled_message_is_reported_as_deleted(connect, credential) -> None:
    client = connect()
    message = submitted(client)

    cancel(message_id=message.pk, actor=credential.user, now=timezone.now())
    event_log.number(now=timezone.now())

    [pdu] = client.read_until(1)
    assert TEXT.fullmatch(pdu.short_message).group(2) == b"DELETED"


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [(2, "delivered", 0), (2, "undelivered", 1), (3, "delivered", 1), (3, "undelivered", 0), (0, "delivered", 0)],
)
@pytest.mark.usefixtures("credential")
def test_registered_delivery_says_which_ends_are_told(connect, asked: int, status: str, told: int) -> None:
    client = connect("transmitter")
    answer = client.answer_to_submit(registered_delivery=asked)
    message = Message.objects.get(pk=UUID(message_id(answer)))

    deliver(message, Status.SENDING, Status.SENT, Status(status))

    assert GatewayReceipt.objects.filter(state="pending").count() == told
    assert GatewayReceipt.objects.count() == told


def test_it_waits_for_a_receiver_and_outlives_the_server(connect, credential, gateway, start_server) -> None:
    transmitter = connect("transmitter")
    message = submitted(transmitter)
    deliver(message, Status.SENDING, Status.SENT, Status.DELIVERED)
    transmitter.close()
    gateway.stop()
    assert GatewayReceipt.objects.get().state == "pending"

    receiver = connect("receiver", port=start_server().port)

    [pdu] = receiver.read_until(1)
    assert str(message.pk).encode() in pdu.short_message


def test_a_refused_one_is_repeated_later_and_a_new_bind_hastens_it(connect, credential, gateway, start_server) -> None:
    client = connect()
    refusals = []
    client.set_message_received_handler(lambda pdu: refusals.append(pdu) or 0x64)
    deliver(submitted(client), Status.SENDING, Status.SENT, Status.DELIVERED)
    while not refusals:
        client.read_once(auto_send_enquire_link=False)
    client.unbind()
    client.close()
    gateway.stop()
    row = GatewayReceipt.objects.get()
    assert (row.state, row.attempts) == ("pending", 1)
    assert row.next_attempt_at > timezone.now()

    [pdu] = connect(port=start_server().port).read_until(1)

    assert pdu.short_message == refusals[0].short_message


def test_one_that_is_not_acknowledged_when_the_link_breaks_is_delivered_again(connect, credential, gateway) -> None:
    client = connect()
    deliver(submitted(client), Status.SENDING, Status.SENT, Status.DELIVERED)
    first = client.read_pdu()
    assert first.command == "deliver_sm"
    client.close()

    [pdu] = connect().read_until(1)

    assert pdu.short_message == first.short_message


def test_only_the_credential_that_submitted_gets_it(connect, credential, gateway) -> None:
    GatewayCredentialFactory(system_id="other", user=credential.user)
    other = connect(system_id="other")
    client = connect()

    deliver(submitted(client), Status.SENDING, Status.SENT, Status.DELIVERED)

    assert len(client.read_until(1)) == 1
    other.unbind()
    assert other.received == []


def test_two_servers_deliver_each_receipt_once(connect, credential, start_server, gateway) -> None:
    first, second = connect(), connect(port=start_server().port)
    rows = [GatewayReceiptFactory(credential=credential, due=True) for _ in range(30)]
    for client in (first, second):
        client._socket.settimeout(1)

    received = []
    for client in (first, second):
        with suppress(TimeoutError):
            while len(first.received) + len(second.received) < 30:
                client.read_once(auto_send_enquire_link=False)
        received += client.received

    ids = [TEXT.fullmatch(pdu.short_message).group(1).decode() for pdu in received]
    assert sorted(ids) == sorted(str(row.pk) for row in rows)


def test_a_session_has_at_most_a_window_unacknowledged(connect, credential, gateway) -> None:
    client = connect()
    for _ in range(15):
        GatewayReceiptFactory(credential=credential, due=True)
    client._socket.settimeout(0.5)
    for _ in range(10):
        assert client.read_pdu().command == "deliver_sm"

    with pytest.raises(TimeoutError):
        client.read_pdu()
    assert GatewayReceipt.objects.filter(state="sending").count() == 10


def test_a_later_correction_brings_no_second_receipt(connect, credential) -> None:
    client = connect("transmitter")
    message = submitted(client)
    deliver(message, Status.SENDING, Status.SENT, Status.DELIVERED)
    GatewayReceipt.objects.all().delete()  # acknowledged

    transitions.apply(
        [Transition(message, Status.UNDELIVERED, Source.RECEIPT, corrects_receipt=True)], now=timezone.now()
    )
    event_log.number(now=timezone.now())

    assert not GatewayReceipt.objects.exists()


def test_a_late_acknowledgment_forgets_the_receipt(credential) -> None:
    row = GatewayReceiptFactory(credential=credential, due=True)

    gateway_receipts.forget(row.pk)

    assert not GatewayReceipt.objects.exists()
