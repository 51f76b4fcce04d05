"""What every gateway must do between the product and a carrier. A module of tests subclasses `GatewayJourney`.

Its fixtures `stack` and `smsc` give the running product, with the gateway as its only provider, and the carrier. The variable
`<PRESET>_OLD_PASSWORD` of the stack has a password that the gateway does not accept.
"""

import json
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest

from messaging.services.installation import SANDBOX_SENDER
from providers import callback_tokens, gsm
from tests.journeys.client import Client
from tests.journeys.peers.smsc import HEADER_INDICATOR, Smsc
from tests.journeys.stack import Stack

GSM_TEXT, UCS2_TEXT = "Your code: 5 € @ {x} & 100% = à\nYes_no", "Grüße 👋 мир & more"
UCS2 = 8


def disable_sandbox(client: Client) -> None:
    """No message goes to the simulator, and the account with the highest weight is asked first."""
    for sandbox in ("sandbox1", "sandbox2"):
        answer = client.post(f"providers/{sandbox}/disable/", {"reason": "the journey needs one gateway"})
        assert answer.status_code == 200, answer.text
    change = {"routing_strategy": "failover"}
    answer = client.session.patch(client.stack.url("queues/express/"), json=change, timeout=30)
    assert answer.status_code == 200, answer.text


def address_for_replies(stack: Stack, slug: str) -> str:
    """As the command `callback_addresses` prints it."""
    token = callback_tokens.make(slug=slug, attempt_id="", keys=(stack.environment["SECRET_KEY"],))
    return f"{stack.base_url}/webhooks/{slug}/inbound/?{urlencode({'token': token})}"


class GatewayJourney:
    preset: ClassVar[str]

    @pytest.fixture
    def client(self, stack: Stack) -> Client:
        return Client(stack)

    def number(self, index: int) -> str:
        return f"+4479111{index:05}"

    @pytest.mark.parametrize(
        ("index", "text", "parts"),
        [(1, GSM_TEXT, 1), (2, UCS2_TEXT, 1), (3, GSM_TEXT * 7, 2), (4, UCS2_TEXT * 6, 2), (5, "x" * 1000, 7)],
        ids=["gsm", "ucs2", "long gsm", "long ucs2", "seven parts"],
    )
    def test_a_text_arrives_once_and_unchanged_and_is_delivered(
        self, client: Client, smsc: Smsc, index: int, text: str, parts: int
    ) -> None:
        to = self.number(index)

        message = client.wait_for(client.send(to, text)["id"], "delivered")

        arrived = smsc.sent_to(to[1:])
        is_gsm = gsm.decode(gsm.encode(text)) == text
        assert message["attempts"] == 1
        assert [part.place for part in arrived] == [(number, parts) for number in range(1, parts + 1)]
        assert {part.coding for part in arrived} == {0 if is_gsm else UCS2}
        assert b"".join(part.content for part in arrived) == (gsm.encode(text) if is_gsm else text.encode("utf-16-be"))
        assert {part.sender for part in arrived} == {SANDBOX_SENDER[1:]}

    def test_a_text_that_the_carrier_cannot_deliver_is_undelivered(self, client: Client, smsc: Smsc) -> None:
        to = self.number(11)
        smsc.undeliverable.add(to[1:])

        message = client.wait_for(client.send(to)["id"], "undelivered")

        assert message["attempts"] == len(smsc.sent_to(to[1:])) == 1

    def test_a_number_that_the_carrier_does_not_know_becomes_inactive(self, client: Client, smsc: Smsc) -> None:
        to = self.number(12)
        smsc.refused.add(to[1:])

        message = client.wait_for(client.send(to)["id"], "undelivered")

        assert message["attempts"] == 1
        assert client.get(f"phone-numbers/{to}/")["status"] == "inactive"

    @pytest.mark.parametrize(
        ("index", "text"),
        [(21, GSM_TEXT), (22, UCS2_TEXT), (23, "\nмид  и май "), (24, " Tea  & milk? ")],
        ids=["gsm", "ucs2", "blanks in ucs2", "blanks in gsm"],
    )
    def test_a_reply_is_received_once_and_unchanged(self, client: Client, smsc: Smsc, index: int, text: str) -> None:
        sender = self.number(index)
        client.wait_for(client.send(sender, "Hello")["id"], "delivered")  # the reply belongs to the user who wrote last

        self.reply(smsc, sender, text)

        assert self.received(client, sender) == [text]
        assert [each.text for each in smsc.sent_to(sender[1:])] == ["Hello"]

    def test_a_reply_in_two_parts_is_received_as_one(self, client: Client, smsc: Smsc) -> None:
        sender = self.number(25)
        client.wait_for(client.send(sender, "Hello")["id"], "delivered")

        for number, part in enumerate(("Жди ", "мид "), start=1):
            octets = bytes([5, 0, 3, 77, 2, number]) + part.encode("utf-16-be")
            smsc.deliver(sender[1:], SANDBOX_SENDER[1:], octets, coding=UCS2, esm_class=HEADER_INDICATOR)

        assert self.received(client, sender) == ["Жди мид "]

    @pytest.mark.parametrize(("index", "coding"), [(31, 0), (32, UCS2)], ids=["gsm", "ucs2"])
    def test_stop_is_obeyed(self, client: Client, smsc: Smsc, index: int, coding: int) -> None:
        to = self.number(index)
        client.wait_for(client.send(to, "Hello")["id"], "delivered")

        self.reply(smsc, to, "STOP", coding=coding)

        assert self.received(client, to) == ["STOP"]
        refused = client.post("messages/", {"to": to, "message": "Refused"})
        assert (refused.status_code, refused.json()["code"]) == (409, "recipient_opted_out")
        [hello, confirmation] = self.texts_to(client, smsc, to, count=2)
        assert hello == "Hello"
        assert confirmation.startswith("You will")

    def test_after_a_wrong_password_another_account_sends_the_text(self, client: Client, smsc: Smsc) -> None:
        config = {"body": {"password": {"env": f"{self.preset.upper()}_OLD_PASSWORD"}}}
        arguments = ("--preset", self.preset, "--weight", "1000", "--config", json.dumps(config))
        client.stack.manage("upsert_provider", "old", *arguments)
        to = self.number(41)

        message = client.wait_for(client.send(to)["id"], "delivered")

        attempts = client.attempts(message["id"])
        assert [(each["provider"], each["error"]["code"]) for each in attempts if each["error"]] == [
            ("old", "provider_credentials_refused")
        ]
        assert len(smsc.sent_to(to[1:])) == 1
        disabled = client.post("providers/old/disable/", {"reason": "its password is wrong"})
        assert disabled.status_code == 200

    # --- helpers ------------------------------------------------------------------------------------------------------

    def reply(self, smsc: Smsc, sender: str, text: str, *, coding: int | None = None) -> None:
        if coding is None:
            coding = 0 if gsm.decode(gsm.encode(text)) == text else UCS2
        octets = gsm.encode(text) if coding == 0 else text.encode("utf-16-be")
        smsc.deliver(sender[1:], SANDBOX_SENDER[1:], octets, coding=coding)

    def received(self, client: Client, sender: str) -> list[str]:
        """The texts from this number, as soon as there is one and all are processed."""

        def found() -> list[dict[str, Any]]:
            return client.get("messages/", direction="inbound", **{"from": sender})["results"]

        def all_processed() -> bool:
            return {message["status"] for message in found()} == {"processed"}

        client.stack.wait_until(all_processed)
        return [message["message"] for message in found()]

    def texts_to(self, client: Client, smsc: Smsc, number: str, *, count: int) -> list[str]:
        client.stack.wait_until(lambda: len(smsc.sent_to(number[1:])) >= count)
        return [each.text for each in smsc.sent_to(number[1:])]
