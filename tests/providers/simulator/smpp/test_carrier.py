"""The simulated SMPP carrier, over real connections."""

import asyncio

import pytest

from providers.simulator.smpp.carrier import CarrierLogin
from providers.smpp.pdu import (
    CommandId,
    CommandStatus,
    MessageState,
    QueryRequest,
    QueryResult,
    SmppAddress,
    Tag,
)
from providers.smpp.session import NoResponse
from tests.providers.simulator.smpp.peer import Carriers, run


def words(messages) -> list[str]:
    return [message.octets.decode().partition("stat:")[2].split()[0] for message in messages]


def test_a_message_is_accepted_logged_with_its_text_and_delivered() -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()

        status, message_id = await client.submit(b"5 \x1be")
        [receipt] = await client.wait_for(1)

        [entry] = carriers.accepted
        assert (status, entry["message_id"], entry["to"], entry["from"], entry["text"]) == (
            0,
            message_id,
            "+14155550123",
            "15005550006",
            "5 €",
        )
        assert receipt.octets.startswith(f"id:{message_id} sub:001 dlvrd:001 submit date:".encode())
        assert b"stat:DELIVRD err:000" in receipt.octets
        assert (receipt.source.text, receipt.destination.text, receipt.esm_class) == ("14155550123", "15005550006", 4)
        assert receipt.tlvs == {
            Tag.RECEIPTED_MESSAGE_ID: message_id.encode() + b"\0",
            Tag.MESSAGE_STATE: bytes([MessageState.DELIVERED]),
        }

    run(scenario)


@pytest.mark.parametrize(
    ("system_id", "password", "status"),
    [
        ("sandbox", "wrong", CommandStatus.RINVPASWD),
        ("other", "sandbox", CommandStatus.RINVSYSID),
        ("sandbox", "", CommandStatus.RINVPASWD),
    ],
)
def test_a_wrong_login_is_refused_and_sends_nothing(system_id: str, password: str, status: int) -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect(bind=False)

        assert await client.bind(system_id=system_id, password=password) == status
        assert (await client.submit())[0] == CommandStatus.RINVBNDSTS
        assert carriers.accepted == []

    run(scenario)


def test_the_password_is_not_in_the_representation() -> None:
    assert "secret" not in repr(CarrierLogin("carrier", "secret"))


def test_a_session_binds_once_and_a_receiver_does_not_send() -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect(bind=False)

        assert await client.bind(CommandId.BIND_RECEIVER) == 0
        assert await client.bind(CommandId.BIND_TRANSMITTER) == CommandStatus.RALYBND
        assert (await client.submit())[0] == CommandStatus.RINVBNDSTS

    run(scenario)


def test_receipts_go_to_a_receiver_and_wait_for_one() -> None:
    async def scenario(carriers: Carriers) -> None:
        sender, receiver = await carriers.connect(bind=False), await carriers.connect(bind=False)
        await sender.bind(CommandId.BIND_TRANSMITTER)
        await sender.submit()
        await asyncio.sleep(0)
        assert carriers.carrier.counts()["receipts"]["posted"] == 0

        await receiver.bind(CommandId.BIND_RECEIVER)

        assert words(await receiver.wait_for(1)) == ["DELIVRD"]
        assert sender.received == []

    run(scenario)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("15005559901", ["UNDELIV"]),
        ("15005559902", ["UNDELIV"]),
        ("15005559906", ["DELIVRD", "DELIVRD"]),
        ("15005559907", ["DELIVRD"]),
        ("15005559908", ["DELIVRD", "UNDELIV"]),
    ],
)
def test_a_magic_number_has_its_receipts_in_order(number: str, expected: list[str]) -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()

        status, message_id = await client.submit(to=number)
        received = await client.wait_for(len(expected))

        assert (status, words(received)) == (0, expected)
        assert {message.tlvs[Tag.RECEIPTED_MESSAGE_ID] for message in received} == {message_id.encode() + b"\0"}

    run(scenario)


def test_the_receipt_of_one_number_comes_before_the_response() -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()

        await client.submit(to="15005559907")

        assert len(client.received) == 1

    run(scenario, receipt_delay_ms=3_600_000)


def test_one_number_is_refused_always_and_one_once_for_each_text() -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()

        always = [(await client.submit(to="15005559903"))[0] for _ in range(2)]
        once = [(await client.submit(text, to="15005559904"))[0] for text in (b"a", b"a", b"b", b"b")]

        refused = CommandStatus.RSYSERR
        assert (always, once) == ([refused, refused], [refused, 0, refused, 0])
        assert [entry["text"] for entry in carriers.accepted] == ["a", "b"]
        assert {(entry["status_code"], entry["reason"]) for entry in carriers.refused} == {(8, "ESME_RSYSERR")}

    run(scenario)


def test_the_number_that_hangs_is_accepted_and_never_answered_and_others_are() -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()

        with pytest.raises(NoResponse):
            await client.submit(to="15005559905", seconds=0.05)

        assert (await client.submit())[0] == 0
        assert [entry["to"] for entry in carriers.accepted] == ["+15005559905", "+14155550123"]

    run(scenario)


@pytest.mark.parametrize("fields", [{"to": "15005559909"}, {"registered_delivery": 0}, {"registered_delivery": 2}])
def test_without_a_receipt_none_is_pending(fields) -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()

        await client.submit(**fields)

        assert carriers.carrier.counts()["receipts"]["pending"] == 0

    run(scenario, receipt_delay_ms=3_600_000)


def test_a_receipt_is_repeated_until_it_is_acknowledged_with_status_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.simulator.smpp.receipts.RETRY_DELAYS", (0.01,))

    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()
        client.answers = [CommandStatus.RX_T_APPN, CommandStatus.RSYSERR]

        await client.submit()
        await client.wait_for(1)
        await asyncio.sleep(0.01)

        assert carriers.carrier.counts()["receipts"] == {"posted": 1, "refused": 2, "pending": 0}

    run(scenario)


@pytest.mark.parametrize(
    ("response_ids", "receipt_ids"),
    [("hex", "decimal"), ("upper_hex", "padded_hex"), ("decimal", "padded_decimal"), ("padded_decimal", "hex")],
)
def test_ids_are_written_in_the_chosen_forms(response_ids: str, receipt_ids: str) -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()

        _, message_id = await client.submit()
        [receipt] = await client.wait_for(1)

        receipted = receipt.tlvs[Tag.RECEIPTED_MESSAGE_ID].rstrip(b"\0").decode()
        numbers = [
            int(text, 10 if "decimal" in form else 16)
            for text, form in ((message_id, response_ids), (receipted, receipt_ids))
        ]
        assert message_id != receipted
        assert numbers[0] == numbers[1]

    run(scenario, response_ids=response_ids, receipt_ids=receipt_ids)


@pytest.mark.parametrize(("form", "has_text", "has_tlvs"), [("text", True, False), ("tlvs", False, True)])
def test_receipts_have_the_chosen_form(form: str, *, has_text: bool, has_tlvs: bool) -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()

        await client.submit()
        [receipt] = await client.wait_for(1)

        assert (bool(receipt.octets), bool(receipt.tlvs)) == (has_text, has_tlvs)

    run(scenario, receipt_form=form)


@pytest.mark.parametrize(
    ("rates", "status"),
    [({"throttle_rate": 1}, CommandStatus.RTHROTTLED), ({"failure_rate": 1}, CommandStatus.RSYSERR)],
)
def test_a_carrier_can_throttle_and_fail(rates: dict[str, float], status: int) -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()

        assert (await client.submit())[0] == status
        assert carriers.accepted == []

    run(scenario, **rates)


@pytest.mark.parametrize(
    ("step", "accepted", "answered"), [("submit", 0, False), ("accepted", 1, False), ("answered", 1, True)]
)
def test_the_link_is_closed_at_a_step_of_each_nth_message(step: str, accepted: int, answered: bool) -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()
        assert (await client.submit(b"first"))[0] == 0

        if answered:
            assert (await client.submit(b"second"))[0] == 0
        else:
            with pytest.raises(NoResponse):
                await client.submit(b"second")
        async with asyncio.timeout(5):
            await client.closed.wait()

        assert len(carriers.accepted) == 1 + accepted

    run(scenario, close_at=step, close_every=2)


def test_the_link_is_closed_at_a_bind() -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect(bind=False)

        with pytest.raises(NoResponse):
            await client.bind()

    run(scenario, close_at="bind", close_every=1)


def test_a_receipt_is_repeated_after_the_link_was_closed_in_the_middle_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.simulator.smpp.receipts.RETRY_DELAYS", (0.01,))

    async def scenario(carriers: Carriers) -> None:
        first = await carriers.connect()
        await first.submit()
        async with asyncio.timeout(5):
            await first.closed.wait()
        carriers.carrier.settings = carriers.carrier.settings.changed({"close_every": 0})

        second = await carriers.connect()

        assert words(await second.wait_for(1)) == ["DELIVRD"]

    run(scenario, close_at="receipt", close_every=1)


def test_the_state_of_a_message_can_be_queried() -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()
        source = SmppAddress("15005550006", 1, 1)
        states = {}
        for number in ("14155550123", "15005559901", "15005559909"):
            _, message_id = await client.submit(to=number)
            answer = await client.session.request(CommandId.QUERY_SM, QueryRequest(message_id, source).encode())
            states[number] = QueryResult.decode(answer.body).state

        unknown = await client.session.request(CommandId.QUERY_SM, QueryRequest("77", source).encode())

        assert list(states.values()) == [MessageState.DELIVERED, MessageState.UNDELIVERABLE, MessageState.ENROUTE]
        assert unknown.status == CommandStatus.RQUERYFAIL

    run(scenario)


def test_what_cannot_be_read_or_is_not_known_is_answered_with_a_status() -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()

        malformed = await client.session.request(CommandId.SUBMIT_SM, b"\0\1")
        unknown = await client.session.request(CommandId.REPLACE_SM, b"")

        assert (malformed.status, unknown.status) == (CommandStatus.RINVPARLEN, CommandStatus.RINVCMDID)
        assert (await client.submit())[0] == 0

    run(scenario)


def test_replies_are_delivered_in_parts_that_cut_no_character() -> None:
    async def scenario(carriers: Carriers) -> None:
        client = await carriers.connect()

        carriers.carrier.reply(sender="+14155550123", to="+15005550006", text="€" * 100)
        carriers.carrier.reply(sender="+14155550123", to="15005550006", text="Да")
        received = await client.wait_for(3)

        euros = [message.octets for message in received if message.data_coding == 0]
        assert sorted(octets[5] for octets in euros) == [1, 2]
        assert b"".join(octets[6:] for octets in sorted(euros, key=lambda octets: octets[5])) == b"\x1be" * 100
        assert all(len(octets) % 2 == 0 for octets in euros)
        [other] = [message for message in received if message.data_coding == 8]
        assert (other.octets.decode("utf-16-be"), other.destination.text) == ("Да", "15005550006")

    run(scenario)


def test_a_reply_of_an_impossible_number_is_refused_before_anything_is_sent() -> None:
    async def scenario(carriers: Carriers) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            carriers.carrier.reply(sender="+" + "1" * 30, to="+15005550006", text="Hello")

        assert carriers.carrier.counts()["receipts"]["pending"] == 0

    run(scenario)
