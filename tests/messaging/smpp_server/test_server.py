"""Binds, submissions and what strangers may not do, with smpplib and with raw sockets."""

import socket
import ssl
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
import smpplib.smpp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.contrib.auth.models import Permission
from django.db import OperationalError
from django.utils import timezone

from messaging.models import GatewayReceipt, GatewaySession, Message, Suppression, VelocityLimit
from messaging.services.costs import budget_changes
from messaging.services.gateway import credentials, lookups, sessions
from messaging.services.limits import rules
from messaging.smpp_server import batches, clients
from providers.smpp.session import SessionLimits
from tests.factories import NOW, GatewayCredentialFactory, PhoneNumberFactory, SenderFactory, UserFactory
from tests.messaging.smpp_server.conftest import SENDER, SmppClient

pytestmark = pytest.mark.django_db(transaction=True)

RINVBNDSTS, RALYBND, RSYSERR, RINVSRCADR, RINVDSTADR, RINVMSGID = 4, 5, 8, 0x0A, 0x0B, 0x0C
RBINDFAIL, RINVPASWD, RCANCELFAIL, RSUBMITFAIL, RTHROTTLED = 0x0D, 0x0E, 0x11, 0x45, 0x58
ENROUTE = 1


def message_id(answer) -> str:
    assert answer.status == 0
    return answer.message_id.decode()


class TestBind:
    @pytest.mark.parametrize("kind", ["transmitter", "receiver", "transceiver"])
    def test_a_bind_takes_a_session_and_unbind_frees_it(self, connect, credential, gateway, kind: str) -> None:
        client = connect(kind)
        [session] = GatewaySession.objects.all()
        assert (session.bind, session.address, session.credential) == (kind, "127.0.0.1", credential)

        client.unbind()
        client.close()
        gateway.stop()

        assert not GatewaySession.objects.exists()
        credential.refresh_from_db()
        assert credential.last_used_at is not None

    @pytest.mark.parametrize(
        ("system_id", "password"), [("shop", "wrong"), ("nobody", "secret12"), ("", ""), ("shop", "")]
    )
    def test_a_wrong_system_id_and_a_wrong_password_look_alike(self, connect, credential, refused, system_id, password):
        assert refused(lambda: connect(system_id=system_id, password=password)) == RINVPASWD
        assert not GatewaySession.objects.exists()

    def test_a_revoked_credential_is_refused(self, connect, credential, refused) -> None:
        credentials.revoke(credential_id=credential.pk, now=NOW)

        assert refused(connect) == RINVPASWD

    def test_an_address_that_is_not_allowed_is_refused(self, connect, credential, refused) -> None:
        credential.allowed_addresses = ["192.0.2.0/24"]
        credential.save()

        assert refused(connect) == RBINDFAIL
        assert not GatewaySession.objects.exists()

    def test_one_session_more_than_allowed_is_refused_over_all_processes(
        self, connect, credential, refused, start_server
    ):
        other = start_server()
        connect()
        connect(port=other.port)

        assert refused(connect) == RALYBND
        assert GatewaySession.objects.count() == 2

    def test_the_sessions_of_a_dead_process_are_free_after_their_lease(self, connect, credential) -> None:
        long_ago = timezone.now() - sessions.LEASE - timedelta(seconds=1)
        for _ in range(2):
            sessions.bind(credential=credential, kind=GatewaySession.Bind.RECEIVER, address="", now=long_ago)

        connect()

        assert GatewaySession.objects.count() == 1

    def test_too_many_failures_of_an_address_are_throttled(self, connect, credential, refused, settings) -> None:
        settings.RATE_LIMIT_FAILED_LOGINS = "2/h"
        for _ in range(2):
            assert refused(lambda: connect(password="wrong")) == RINVPASWD

        assert refused(connect) == RTHROTTLED

    def test_the_bind_of_a_client_that_has_gone_costs_nothing(self, gateway, credential, connect, raw, monkeypatch):
        began, may_end, checked = threading.Semaphore(0), threading.Event(), []
        real = credentials.verify

        def verify(*, system_id: str, **options):
            checked.append(system_id)
            began.release()
            assert may_end.wait(10)
            return real(system_id=system_id, **options)

        monkeypatch.setattr(credentials, "verify", verify)
        strangers = [raw() for _ in range(10)]
        body = b"x\0y\0\0\x34\0\0\0"
        for stranger in strangers:
            stranger.write(struct.pack(">LLLL", 16 + len(body), 9, 0, 1) + body)
        for _ in range(clients.BIND_THREADS):
            assert began.acquire(timeout=10)
        while len(gateway.server._clients._binding) < 10:
            pass
        for stranger in strangers:
            stranger.close()
        while gateway.server._connections:
            pass
        may_end.set()
        connect()

        assert checked == ["x"] * clients.BIND_THREADS + ["shop"]

    def test_a_second_bind_of_a_session_is_refused(self, connect, credential, refused) -> None:
        client = connect("transmitter")
        client.state = 1

        assert refused(lambda: client.bind_transmitter(system_id="shop", password="secret12")) == RALYBND

    def test_a_connection_without_a_bind_is_closed(self, raw, gateway, start_server) -> None:
        other = start_server(limits=SessionLimits(bind_seconds=0.05))

        assert raw(other.port).read_pdu() is None

    def test_further_connections_are_closed_at_once(self, raw, gateway, start_server, connect, credential) -> None:
        other = start_server(max_connections=1)
        first = connect(port=other.port)

        assert raw(other.port).read_pdu() is None
        assert message_id(first.answer_to_submit())

    def test_a_stranger_does_not_take_all_connections(self, raw, gateway, start_server, connect, credential) -> None:
        other = start_server(max_unbound_connections=2)
        bound = connect(port=other.port)
        raw(other.port)
        raw(other.port)

        assert raw(other.port).read_pdu() is None
        assert message_id(bound.answer_to_submit())

    def test_sessions_of_a_revoked_credential_are_unbound(self, connect, credential, gateway) -> None:
        client = connect()
        credentials.revoke(credential_id=credential.pk, now=NOW)

        renewal = threading.Thread(target=lambda: gateway.call(gateway.server._clients.renew))
        renewal.start()
        pdu = client.read_pdu()
        assert pdu.command == "unbind"
        client.send_pdu(smpplib.smpp.make_pdu("unbind_resp", client=client, sequence=pdu.sequence))
        renewal.join(5)
        assert not renewal.is_alive()


class TestSubmit:
    def test_the_answer_has_the_id_of_the_stored_message(self, connect, credential, broker) -> None:
        answer = connect().answer_to_submit(short_message=b"Hello", registered_delivery=False)

        message = Message.objects.get(pk=UUID(message_id(answer)))
        assert (message.to_number, message.from_number, message.text) == ("+14155550101", SENDER, "Hello")
        assert (message.owner, message.status, message.queue_id) == (credential.user, "queued", "express")
        assert broker.notified == ["express"]
        assert not GatewayReceipt.objects.exists()

    def test_without_a_sender_it_is_the_default_one(self, connect, credential) -> None:
        connect().answer_to_submit(source_addr="", source_addr_ton=0)

        assert Message.objects.get().from_number == SENDER

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({"source_addr": "15005550099"}, RINVSRCADR),
            ({"destination_addr": "0041791234567"}, RINVDSTADR),
            ({"destination_addr": "0791234567", "dest_addr_ton": 2}, RINVDSTADR),
            ({"destination_addr": "12"}, RINVDSTADR),
            ({"short_message": b"  "}, 1),
            ({"validity_period": "nonsense"}, 0x62),
            ({"schedule_delivery_time": "nonsense"}, 0x61),
            ({"data_coding": 4, "short_message": b"\x00\x01\xff"}, RSUBMITFAIL),
        ],
        ids=["sender", "double zero", "national", "short", "blank", "validity", "schedule", "binary"],
    )
    def test_what_is_refused_is_not_stored(self, connect, credential, fields, status: int) -> None:
        assert connect().answer_to_submit(**fields).status == status
        assert not Message.objects.exists()

    def test_an_opted_out_recipient_is_refused(self, connect, credential) -> None:
        Suppression.objects.create(number="+14155550101", source="admin", created_at=NOW, created_by=UserFactory())

        assert connect().answer_to_submit().status == RSUBMITFAIL
        assert not Message.objects.exists()

    def test_limits_throttle_and_a_blocked_prefix_is_an_invalid_address(self, connect, credential) -> None:
        rules.save(VelocityLimit(recipient_per_hour=1), now=NOW)
        client = connect()
        assert [client.answer_to_submit().status for _ in range(2)] == [0, RTHROTTLED]
        assert client.answer_to_submit(destination_addr="881612345678").status == RINVDSTADR

    def test_an_inactive_recipient_is_refused(self, connect, credential) -> None:
        PhoneNumberFactory(number="+14155550101", inactive=True)

        assert connect().answer_to_submit().status == RSUBMITFAIL

    def test_the_sender_of_another_owner_is_refused(self, connect, credential) -> None:
        SenderFactory(number="+15005550077", owner=UserFactory())

        assert connect().answer_to_submit(source_addr="+15005550077").status == RINVSRCADR

    def test_what_the_budget_has_no_room_for_is_throttled(self, connect, credential) -> None:
        budget_changes.create(
            owner=credential.user, country="", period="month", limit=Decimal(1), currency="", now=timezone.now()
        )
        client = connect()

        assert client.answer_to_submit().status == 0
        assert client.answer_to_submit().status == RTHROTTLED
        assert Message.objects.count() == 1

    def test_more_than_the_rate_limit_is_throttled(self, connect, credential, settings) -> None:
        settings.RATE_LIMIT_PER_TOKEN = "1/h"
        client = connect()

        assert client.answer_to_submit().status == 0
        assert client.answer_to_submit().status == RTHROTTLED
        assert Message.objects.count() == 1

    def test_while_the_database_is_away_the_client_is_told_to_repeat(self, connect, credential, monkeypatch) -> None:
        client = connect()

        def fail(**_options):
            raise OperationalError("away")

        monkeypatch.setattr(batches.submissions, "store", fail)
        assert client.answer_to_submit().status == RSYSERR
        monkeypatch.undo()
        assert client.answer_to_submit().status == 0
        assert Message.objects.count() == 1

    def test_many_at_once_are_stored_together_and_each_gets_its_answer(self, connect, credential, monkeypatch) -> None:
        sizes = []
        real = batches.submissions.store

        def store(**options):
            sizes.append(len(options["submissions"]))
            return real(**options)

        monkeypatch.setattr(batches.submissions, "store", store)
        client = connect()
        for number in range(40):
            client.send_message(
                source_addr=SENDER,
                source_addr_ton=1,
                destination_addr="12" if number == 7 else f"141555501{number:02}",
                dest_addr_ton=1,
                short_message=f"text {number}".encode(),
                registered_delivery=number % 2 == 0,
            )
        while len(client.sent) < 40:
            client.read_once(auto_send_enquire_link=False)

        assert sum(answer.status == 0 for answer in client.sent) == 39
        ids = {UUID(answer.message_id.decode()) for answer in client.sent if answer.status == 0}
        assert set(Message.objects.values_list("pk", flat=True)) == ids
        assert GatewayReceipt.objects.count() == 20
        assert len(sizes) < 39

    def test_a_receiver_does_not_submit(self, connect, credential) -> None:
        client = connect("receiver")
        client.state = 4

        assert client.answer_to_submit().status == RINVBNDSTS

    def test_times_are_read(self, connect, credential) -> None:
        connect().answer_to_submit(validity_period="000000010000000R", schedule_delivery_time="000001000000000R")

        message = Message.objects.get()
        assert (message.status, message.valid_for) == ("scheduled", 3600)
        assert timedelta(hours=23) < message.send_at - message.created_at <= timedelta(days=1)


@pytest.fixture
def certificate(tmp_path) -> Path:
    """A self-signed certificate and its key, in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sms")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    made = (
        builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1)).sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = tmp_path / "certificate.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM) + pem)
    return file


def test_tls(start_server, connect, credential, certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    running = start_server(tls=context, tls_port=0)
    trusting = ssl.create_default_context(cafile=certificate)
    trusting.check_hostname = False
    client = SmppClient(running.server.addresses[1][1], ssl_context=trusting)
    client.bind_transceiver(system_id="shop", password="secret12")

    assert message_id(client.answer_to_submit())
    client.unbind()
    client.close()


def test_a_stranger_without_a_handshake_does_not_take_all_connections(
    start_server, raw, credential, certificate: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    limits = SessionLimits(bind_seconds=0.5, response_seconds=3.0)
    running = start_server(tls=context, tls_port=0, max_unbound_connections=2, limits=limits)
    port = running.server.addresses[1][1]
    silent = [raw(port), raw(port)]

    assert raw(port).read_pdu() is None
    assert [each.read_pdu() for each in silent] == [None, None]
    trusting = ssl.create_default_context(cafile=certificate)
    trusting.check_hostname = False
    body = b"shop\0secret12\0\0\x34\0\0\0"
    with socket.create_connection(("127.0.0.1", port), 10) as plain, trusting.wrap_socket(plain) as client:
        client.sendall(struct.pack(">LLLL", 16 + len(body), 9, 0, 1) + body)
        assert struct.unpack(">LLLL", client.recv(16))[1:] == (0x80000009, 0, 1)


class TestStop:
    def test_a_client_that_answers_nothing_does_not_hold_it_up(self, start_server, connect, credential) -> None:
        running = start_server(limits=SessionLimits(response_seconds=2.0))
        client = connect(port=running.port)
        receipt = client.answer_to_submit(registered_delivery=1)
        GatewayReceipt.objects.filter(pk=message_id(receipt)).update(
            state="pending", message_state=2, done_at=NOW, next_attempt_at=NOW
        )
        client._socket.settimeout(10)
        assert client._recv_exact(16)[4:8] == b"\0\0\0\x05"  # deliver_sm, which is not answered
        began = time.monotonic()
        running.stop()

        assert time.monotonic() - began < 5
        assert not GatewaySession.objects.exists()

    def test_open_submissions_are_stored_and_answered_and_further_ones_refused(
        self, connect, credential, gateway, monkeypatch
    ) -> None:
        began, may_end = threading.Event(), threading.Event()
        real = batches.submissions.store

        def store(**options):
            began.set()
            assert may_end.wait(10)
            return real(**options)

        monkeypatch.setattr(batches.submissions, "store", store)
        client = connect()
        client.send_message(source_addr=SENDER, source_addr_ton=1, destination_addr="14155550101", short_message=b"1")
        assert began.wait(10)
        gateway.loop.call_soon_threadsafe(gateway.stop_event.set)
        while not gateway.server._is_stopping:
            pass
        refused = client.answer_to_submit(short_message=b"2")
        may_end.set()
        while len(client.sent) < 2:
            client.read_once(auto_send_enquire_link=False)
        request = client.read_pdu()
        client.send_pdu(smpplib.smpp.make_pdu("unbind_resp", client=client, sequence=request.sequence))
        gateway.stop()

        assert refused.status == RSYSERR
        assert request.command == "unbind"
        assert str(Message.objects.get().pk) == message_id(client.sent[-1])
        assert not GatewaySession.objects.exists()


class TestQueryAndCancel:
    def test_a_client_asks_one_question_at_a_time(self, connect, credential, monkeypatch) -> None:
        running, most, lock = [], [], threading.Lock()
        real = lookups.find

        def find(**options):
            with lock:
                running.append(1)
                most.append(len(running))
            try:
                return real(**options)
            finally:
                with lock:
                    running.pop()

        monkeypatch.setattr(lookups, "find", find)
        client = connect()
        body = b"01890f3e-0000-7000-8000-000000000000\0" + b"\x01\x01\0"
        client._socket.sendall(b"".join(struct.pack(">LLLL", 16 + len(body), 3, 0, n) + body for n in range(1, 31)))
        answers = [client._recv_exact(16) for _ in range(30)]

        assert [struct.unpack(">LLLL", answer)[3] for answer in answers] == list(range(1, 31))
        assert max(most) == 1

    def test_query_tells_the_state_of_an_own_message(self, connect, credential) -> None:
        client = connect()
        told = message_id(client.answer_to_submit())

        body = told.encode() + b"\0" + b"\x01\x01\0"
        client._socket.sendall(struct.pack(">LLLL", 16 + len(body), 3, 0, 77) + body)
        answer = client._recv_exact(16)
        length, command, status, sequence = struct.unpack(">LLLL", answer)
        rest = client._recv_exact(length - 16)

        assert (command, status, sequence) == (0x80000003, 0, 77)
        assert rest == told.encode() + b"\0\0" + bytes([ENROUTE, 0])

    @pytest.mark.parametrize("told", ["", "nonsense", "01890f3e-0000-7000-8000-000000000000"])
    def test_an_unknown_id_is_refused(self, connect, credential, told: str) -> None:
        client = connect()
        body = told.encode() + b"\0" + b"\x01\x01\0"
        client._socket.sendall(struct.pack(">LLLL", 16 + len(body), 3, 0, 77) + body)

        assert struct.unpack(">LLLL", client._recv_exact(16))[2] == RINVMSGID

    def test_the_message_of_another_owner_is_unknown(self, connect, credential) -> None:
        GatewayCredentialFactory(system_id="other")
        told = message_id(connect(system_id="other").answer_to_submit())
        client = connect()

        assert cancel(client, told) == RINVMSGID
        assert Message.objects.get().status == "queued"

    def test_a_user_who_may_not_change_messages_cancels_none(self, connect, credential) -> None:
        credential.user.user_permissions.remove(Permission.objects.get(codename="change_message"))
        client = connect()

        assert cancel(client, message_id(client.answer_to_submit())) == RCANCELFAIL
        assert Message.objects.get().status == "queued"

    def test_cancel_cancels_once(self, connect, credential) -> None:
        client = connect()
        told = message_id(client.answer_to_submit())

        assert cancel(client, told) == 0
        assert Message.objects.get().status == "canceled"
        assert cancel(client, told) == RCANCELFAIL


def cancel(client, told: str) -> int:
    body = b"\0" + told.encode() + b"\0" + b"\0\0\0" + b"\0\0\0"
    client._socket.sendall(struct.pack(">LLLL", 16 + len(body), 8, 0, 78) + body)
    return struct.unpack(">LLLL", client._recv_exact(16))[2]


class TestStrangers:
    def test_a_request_before_a_bind_is_refused(self, raw) -> None:
        client = raw()
        client.write(struct.pack(">LLLL", 16, 4, 0, 1))

        assert client.read_pdu() == (0x80000004, RINVBNDSTS, 1, b"")

    @pytest.mark.parametrize("length", [0, 15, 70_001, 2**31, 2**32 - 1])
    def test_an_impossible_length_ends_the_connection_and_disturbs_nobody(self, raw, connect, credential, length):
        bound, client = connect(), raw()
        client.write(struct.pack(">LLLL", length, 4, 0, 9))

        assert client.read_pdu() == (0x80000000, 2, 9, b"")
        assert client.read_pdu() is None
        assert message_id(bound.answer_to_submit())

    def test_garbage_ends_the_connection_and_disturbs_nobody(self, raw, connect, credential) -> None:
        bound, client = connect(), raw()
        client.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10)

        assert client.read_pdu()[1] == 2
        assert client.read_pdu() is None
        assert message_id(bound.answer_to_submit())

    def test_a_bind_that_cannot_be_read_is_refused(self, raw) -> None:
        client = raw()
        client.write(struct.pack(">LLLL", 20, 9, 0, 3) + b"abcd")

        assert client.read_pdu()[:3] == (0x80000009, 0xC2, 3)
        assert client.read_pdu() is None

    def test_other_commands_are_refused(self, connect, credential) -> None:
        client = connect()
        for command in (0x21, 0x103, 7):
            client._socket.sendall(struct.pack(">LLLL", 16, command, 0, 5))
            assert struct.unpack(">LLLL", client._recv_exact(16))[1:3] == (command | 0x80000000, 3)
