"""People's texts: delivered to receivers that ask for them, kept until all parts are acknowledged."""

from contextlib import suppress

import pytest
from django.utils import timezone

from messaging.models import GatewayText, Message
from messaging.services.inbound.process import process
from messaging.services.webhooks import event_log
from messaging.smpp_server import courier
from providers import gsm
from tests.factories import GatewayCredentialFactory, GatewayReceiptFactory, GatewayTextFactory, MessageFactory

pytestmark = pytest.mark.django_db(transaction=True)

PERSON = "+14155550101"
# 400 septets: an escape pair is at the end of the first part.
LONG = "a" * 152 + "€" + "b" * 100 + "[]" + "c" * 143
SURROGATES = "Привет" * 11 + "\U0001f600" * 20


@pytest.fixture
def credential(transactional_db):
    return GatewayCredentialFactory(system_id="shop", receives_texts=True)


def arrive(credential, text: str = "Yes, please", **fields) -> Message:
    """A person's text, as a worker leaves it."""
    values = {"from_number": PERSON, "to_number": "+15005550006", **fields}
    message = MessageFactory(inbound=True, owner=credential.user, keyword_read_at=timezone.now(), text=text, **values)
    process(default_queue="express", now=timezone.now())
    event_log.number(now=timezone.now())
    return message


def header_and_octets(pdu) -> tuple[bytes, bytes]:
    size = pdu.short_message[0] + 1 if pdu.esm_class & 0x40 else 0
    return pdu.short_message[:size], pdu.short_message[size:]


def joined(pdus) -> str:
    """The text of all parts, each read alone: a part that is cut through a character cannot be read."""
    read = gsm.decode if pdus[0].data_coding == 0 else lambda octets: octets.decode("utf-16-be")
    ordered = sorted(pdus, key=lambda pdu: header_and_octets(pdu)[0])
    return "".join(read(header_and_octets(pdu)[1]) for pdu in ordered)


def stop(client, gateway) -> None:
    client.unbind()
    client.close()
    gateway.stop()


def test_a_text_arrives_once_and_is_forgotten(connect, credential, gateway) -> None:
    client = connect()

    arrive(credential)
    [pdu] = client.read_until(1)

    assert (pdu.short_message, pdu.data_coding, pdu.esm_class) == (b"Yes, please", 0, 0)
    assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == (b"14155550101", 1, 1)
    assert (pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi) == (b"15005550006", 1, 1)
    assert pdu.receipted_message_id is None
    stop(client, gateway)
    assert not GatewayText.objects.exists()
    assert client.received == [pdu]


@pytest.mark.parametrize(
    ("text", "coding", "octets"),
    [("Grüße {1}", 0, b"Gr~\x1ee \x1b(1\x1b)"), ("Привет", 8, "Привет".encode("utf-16-be")), ("", 0, b"")],
)
def test_the_alphabet_follows_the_text(connect, credential, text: str, coding: int, octets: bytes) -> None:
    client = connect("receiver")

    arrive(credential, text, to_number="", media_count=0)

    [pdu] = client.read_until(1)
    assert (pdu.data_coding, pdu.short_message or b"") == (coding, octets)


@pytest.mark.parametrize(("text", "count"), [(LONG, 3), (SURROGATES, 2)])
def test_a_long_text_arrives_in_parts_that_can_be_read_alone(connect, credential, gateway, text, count) -> None:
    client = connect()

    arrive(credential, text)
    pdus = client.read_until(count)

    headers = [header_and_octets(pdu)[0] for pdu in pdus]
    assert [(header[:3], header[4:]) for header in headers] == [
        (b"\x05\x00\x03", bytes([count, number])) for number in range(1, count + 1)
    ]
    assert len({header[3] for header in headers}) == 1
    assert joined(pdus) == text
    stop(client, gateway)
    assert not GatewayText.objects.exists()


def test_after_a_refusal_only_the_missing_parts_are_repeated(connect, credential, gateway, start_server) -> None:
    client = connect()
    seen = []
    client.set_message_received_handler(lambda pdu: seen.append(pdu) or (0x64 if len(seen) == 2 else 0))
    arrive(credential, LONG)
    while len(seen) < 2:
        client.read_once(auto_send_enquire_link=False)
    stop(client, gateway)
    row = GatewayText.objects.get()
    assert (row.state, row.attempts, row.parts_taken) == ("pending", 1, 0b001)
    assert row.next_attempt_at > timezone.now()

    repeated = connect(port=start_server().port).read_until(2)

    assert [pdu.short_message for pdu in repeated][:1] == [seen[1].short_message]
    assert joined([seen[0], *repeated]) == LONG


def test_parts_that_were_acknowledged_before_the_link_broke_are_not_repeated(connect, credential, gateway) -> None:
    client = connect()
    arrive(credential, LONG)
    client.read_until(1)
    second = client.read_pdu()
    client.close()

    repeated = connect().read_until(2)

    assert repeated[0].short_message == second.short_message
    assert joined([*client.received, *repeated]) == LONG


def test_a_slow_client_gets_the_rest_of_a_long_text_later(connect, credential, gateway, monkeypatch) -> None:
    monkeypatch.setattr(courier, "PARTS_SECONDS", 0.0)
    client = connect()
    arrive(credential, LONG)
    client.read_until(1)
    stop(client, gateway)

    assert GatewayText.objects.get().parts_taken == 0b001


def test_it_waits_for_a_receiver_and_outlives_the_server(connect, credential, gateway, start_server) -> None:
    transmitter = connect("transmitter")
    arrive(credential)
    stop(transmitter, gateway)
    assert transmitter.received == []
    assert GatewayText.objects.get().attempts == 0

    [pdu] = connect("receiver", port=start_server().port).read_until(1)

    assert pdu.short_message == b"Yes, please"


def test_clients_that_do_not_ask_get_none(connect, credential, gateway) -> None:
    GatewayCredentialFactory(system_id="receipts", user=credential.user)
    GatewayCredentialFactory(system_id="stranger", receives_texts=True)
    others = [connect(system_id="receipts"), connect(system_id="stranger")]
    client = connect()

    arrive(credential)

    assert len(client.read_until(1)) == 1
    for other in others:
        other.unbind()
        assert other.received == []


def test_two_servers_deliver_each_text_once(connect, credential, start_server, gateway) -> None:
    first, second = connect(), connect(port=start_server().port)
    for number in range(30):
        GatewayTextFactory(credential=credential, message__text=f"text {number:02}")
    for client in (first, second):
        client._socket.settimeout(1)

    for client in (first, second):
        with suppress(TimeoutError):
            while len(first.received) + len(second.received) < 30:
                client.read_once(auto_send_enquire_link=False)

    texts = sorted(pdu.short_message.decode() for pdu in first.received + second.received)
    assert texts == [f"text {number:02}" for number in range(30)]


def test_texts_and_receipts_share_the_window_of_a_session(connect, credential, gateway) -> None:
    client = connect()
    for _ in range(7):
        GatewayTextFactory(credential=credential, message__text=LONG)
        GatewayReceiptFactory(credential=credential, due=True)
    client._socket.settimeout(0.5)
    for _ in range(10):
        assert client.read_pdu().command == "deliver_sm"

    with pytest.raises(TimeoutError):
        client.read_pdu()


@pytest.mark.parametrize(
    ("sender", "source"),
    [("72975", (b"72975", 3)), ("Bank", (b"Bank", 5)), ("Bücher", (b"B?cher", 5)), ("12…", (b"12?", 5))],
)
def test_senders_that_are_no_numbers_come_as_they_are(connect, credential, sender: str, source) -> None:
    client = connect()

    arrive(credential, from_number=sender)

    [pdu] = client.read_until(1)
    assert (pdu.source_addr, pdu.source_addr_ton) == source
