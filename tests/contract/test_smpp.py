"""The SMPP backend passes the contract tests; the carrier of the kit is a connector here."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from providers.backends.smpp import SmppBackend, connector_key
from providers.contract.messages import Accepted
from providers.contract.sender import BackendContext, Sender
from providers.errors import (
    CredentialsRefused,
    Misconfigured,
    OutcomeUnknown,
    RateLimited,
    RecipientInvalid,
    Refused,
    SendError,
    Unavailable,
)
from providers.smpp.deliveries import read_text
from providers.smpp.pdu import ShortMessage
from providers.smpp.text import Alphabet
from tests.contract.fake_carrier import BROKEN_RESPONSES, FakeCarrier, Play, answer
from tests.contract.kit import CONTEXT, IMPATIENT, OUTBOUND, SECRET, SENDER, SLUG, SenderContract

ENDED_BEFORE_AN_ANSWER = {"hung up without an answer", "reset after the request"}


def messages(carrier: FakeCarrier) -> Sequence[ShortMessage]:
    """The PDUs of the last request."""
    return [ShortMessage.decode(bytes.fromhex(pdu)) for pdu in carrier.received[-1].json()["pdus"]]


def broken_responses(names: set[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("broken", [BROKEN_RESPONSES[name] for name in sorted(names)], ids=sorted(names))


class TestSmpp(SenderContract):
    success_status = 200
    authorization = f"Bearer {connector_key(CONTEXT.callback_keys[0])}"

    def make(self, url: str, context: BackendContext = CONTEXT) -> Sender:
        config = {
            "host": "smpp.carrier.example",
            "port": 2775,
            "system_id": "acme",
            "password": SECRET,
            "from_number": SENDER,
        }
        return SmppBackend(SmppBackend.Config.model_validate(config), replace(context, smpp_connector_urls=(url,)))

    def accepting_body(self, message_id: str) -> object:
        return {"responses": [{"status": 0, "id": message_id}]}

    def sent_text(self, carrier: FakeCarrier) -> dict[str, str]:
        [message] = messages(carrier)
        text, _part = read_text(message, Alphabet.GSM7)
        return {"to": f"+{message.destination.text}", "text": text or ""}

    def test_the_account_is_named_in_the_path(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = answer(200, self.accepting_body("id-1"))

        backend.send(OUTBOUND)

        assert (carrier.received[0].method, carrier.received[0].target) == ("POST", f"/accounts/{SLUG}/submit")

    # --- where a connector or SMPP differs from a gateway's HTTP ------------------------------------------------------

    test_an_invalid_id_is_unknown = None
    test_429_is_a_rate_limit_with_retry_after = None
    test_429_with_an_invalid_retry_after_is_a_rate_limit = None
    test_401_means_refused_credentials = None
    test_an_unlisted_4xx_refuses_the_text = None

    @pytest.mark.parametrize("message_id", ["x" * 129, "a\x00b", "\ufffd\x01", "   ", "None", "null", ""])
    def test_status_0_accepts_the_message_even_with_an_id_that_cannot_be_used(
        self, carrier: FakeCarrier, backend: Sender, message_id: str
    ) -> None:
        carrier.play = answer(200, self.accepting_body(message_id))

        assert backend.send(OUTBOUND) == Accepted("")

    @pytest.mark.parametrize("value", [None, True, 1.5, ["id"], {"id": 1}])
    def test_an_id_that_is_no_text_is_not_from_a_connector(
        self, carrier: FakeCarrier, backend: Sender, value: object
    ) -> None:
        carrier.play = answer(200, {"responses": [{"status": 0, "id": value}]})

        assert type(self.fault(backend)) is OutcomeUnknown

    @broken_responses(set(BROKEN_RESPONSES) - ENDED_BEFORE_AN_ANSWER)
    def test_a_broken_response_leaves_the_outcome_unknown(self, carrier: FakeCarrier, broken: Play) -> None:
        super().test_a_broken_response_leaves_the_outcome_unknown(carrier, broken)

    @broken_responses(ENDED_BEFORE_AN_ANSWER)
    def test_a_connector_that_ends_before_it_answers_has_written_nothing(
        self, carrier: FakeCarrier, broken: Play
    ) -> None:
        carrier.play = broken

        with closing(self.make(carrier.url, IMPATIENT)) as backend:
            error = self.fault(backend)

        assert (type(error), error.error_code) == (Unavailable, "provider_unreachable")
        assert len(carrier.received) == 1

    def test_a_full_window_is_a_rate_limit_for_a_second(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = answer(503, {"error": "window_full"})

        error = self.fault(backend)

        assert isinstance(error, RateLimited)
        assert error.retry_after == 1

    @pytest.mark.parametrize("status", [0x58, 0x14])
    def test_a_carrier_that_wants_less_is_a_rate_limit(
        self, carrier: FakeCarrier, backend: Sender, status: int
    ) -> None:
        carrier.play = answer(200, {"responses": [{"status": status, "id": ""}]})

        error = self.fault(backend)

        assert isinstance(error, RateLimited)
        assert error.retry_after is None

    def test_a_connector_with_another_key_is_a_misconfiguration(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = answer(401, {"error": "unauthorized"})

        assert type(self.fault(backend)) is Misconfigured

    def test_a_refused_bind_means_refused_credentials(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = answer(503, {"error": "credentials", "detail": "ESME_RINVPASWD"})

        error = self.fault(backend)

        assert (type(error), error.detail) == (CredentialsRefused, "the carrier refuses the bind: ESME_RINVPASWD")

    @pytest.mark.parametrize(
        ("status", "body", "code"),
        [
            (503, {"error": "no_bind"}, "no_bind"),
            (503, {"error": "something new"}, "smpp_connector"),
            (503, b"<html>", "smpp_connector"),
            (404, {"error": "not_found"}, "smpp_connector"),
            (400, {"error": "malformed"}, "smpp_connector"),
        ],
    )
    def test_any_other_refusal_of_a_connector_has_written_nothing(
        self, carrier: FakeCarrier, backend: Sender, status: int, body: object, code: str
    ) -> None:
        carrier.play = answer(status, body)

        error = self.fault(backend)

        assert (type(error), error.error_code) == (Unavailable, code)

    @pytest.mark.parametrize(
        ("status", "error", "code"),
        [
            (0x0B, RecipientInvalid, "recipient_invalid"),
            (0x45, Refused, "smpp_0x45"),
            (0x08, Unavailable, "smpp_0x08"),
            (0x400, Refused, "smpp_0x400"),
        ],
    )
    def test_a_status_of_the_carrier_is_the_error_of_the_table(
        self, carrier: FakeCarrier, backend: Sender, status: int, error: type[SendError], code: str
    ) -> None:
        carrier.play = answer(200, {"responses": [{"status": status, "id": ""}]})

        fault = self.fault(backend)

        assert (type(fault), fault.error_code) == (error, code)
