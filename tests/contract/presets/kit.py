"""The tests of every preset. A vendor's module subclasses `PresetContract` with the wire format from the vendor's documents.

The hooks make what the vendor's own servers would send; nothing here reads the preset's configuration but `make`.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest

from providers import callback_tokens, presets
from providers.contract.callbacks import CallbackParser, CallbackRequest, ReportedStatus, callback_parser
from providers.contract.config_types import STORED, is_reference
from providers.contract.messages import OutboundMessage
from providers.contract.sender import BackendContext, Sender, Timeouts
from providers.errors import InvalidSignature, OutcomeUnknown, RateLimited, SendError
from providers.registry import backend_class, resolve_secrets
from tests.contract.fake_carrier import FakeCarrier, Play, Received, answer

TO, SENDER = "+447911123456", "+447700900123"
GSM_TEXT, UCS2_TEXT = "Your code is 123456 & more = €", "Grüße 👋 мир"
REFERENCE = "0197f0aa-0000-7000-8000-000000000001"
ATTEMPT = "0197f0aa-0000-7000-8000-00000000000a"
PUBLIC_URL = "https://sms.example.org"
CONTEXT = BackendContext(slug="acme", callback_keys=("current-key",), timeouts=Timeouts(connect=5, read=5))
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Refusal:
    """A response in the vendor's own way, the error that it must become, and a part of the error's detail or code."""

    play: Play
    error: type[SendError]
    shows: str = ""


@dataclass(frozen=True)
class Callback:
    """What the vendor sends, before it is signed. A dict is a form; bytes are as they are; `query` is for GET too."""

    body: bytes | Mapping[str, str] = b""
    content_type: str = "application/json"
    query: Mapping[str, Any] = field(default_factory=dict)
    method: str = "POST"


def variables_in(config: Any) -> Iterator[str]:
    """The environment variables that a configuration names."""
    if is_reference(config):
        yield config["env"]
    elif isinstance(config, dict | list):
        for value in config.values() if isinstance(config, dict) else config:
            yield from variables_in(value)


def json_callback(content: Any) -> Callback:
    return Callback(json.dumps(content).encode())


class PresetContract(ABC):
    """The hooks first, then the tests.

    `environment` has the preset's variables, `overrides` what a user puts into `--config`.
    """

    preset: ClassVar[str]
    environment: ClassVar[Mapping[str, str]] = {}
    overrides: ClassVar[Mapping[str, Any]] = {}
    # The vendor's words for a receipt: what it says, and what that means.
    statuses: ClassVar[Mapping[str, ReportedStatus]]
    has_receipts = True
    has_replies = True
    # The vendor puts several receipts into one request.
    has_batches = False
    # The response has an id. Without one receipts find the message by our address.
    has_ids = True
    # The request names a sender. Without one the vendor has its own, such as a phone's number.
    has_sender = True

    @abstractmethod
    def accepting(self, ids: Sequence[str]) -> Play:
        """The vendor's response to an accepted message, of one part or of several."""

    @abstractmethod
    def sent(self, request: Received) -> Mapping[str, Any]:
        """`to`, `text` and `from` as the vendor reads them; `valid_for` (seconds) and `callback_url` if it takes them."""

    @abstractmethod
    def refusals(self) -> Sequence[Refusal]:
        """The vendor's ways to refuse: credentials, a bad number, an opt-out, the rate, no credit, its own failure."""

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        """A request with receipts (id, the vendor's word)."""
        raise NotImplementedError

    def reply(self, text: str) -> Callback:
        """A text from `TO` to `SENDER`."""
        raise NotImplementedError

    def signed(self, request: CallbackRequest) -> CallbackRequest:
        """The request as the vendor signs it. By default our token in the address is all the proof."""
        return request

    # --- helpers ------------------------------------------------------------------------------------------------------

    def make(self, url: str) -> Sender:
        """The preset as it is shipped; only the vendor's host is replaced by ours."""
        preset = presets.load(self.preset)
        backend = backend_class(preset.backend)
        config = presets.merge(preset.config, self.overrides)
        backend.Config.model_validate(config, context=STORED)
        resolved = resolve_secrets(config, self.environment)
        resolved["url"] = re.sub(r"^https?://[^/]+", url, resolved["url"])
        return backend(backend.Config.model_validate(resolved), CONTEXT)

    def request(self, callback: Callback, *, kind: str, attempt_id: str = ATTEMPT) -> CallbackRequest:
        token = callback_tokens.make(slug=CONTEXT.slug, attempt_id=attempt_id, keys=CONTEXT.callback_keys)
        query = urlencode({"token": token, **callback.query})
        body = callback.body if isinstance(callback.body, bytes) else urlencode(callback.body).encode()
        content_type = callback.content_type if isinstance(callback.body, bytes) else FORM
        return CallbackRequest(
            url=f"{PUBLIC_URL}/webhooks/acme/{kind}/?{query}",
            headers={"content-type": content_type} if body else {},
            body=body,
            token=token,
            method=callback.method,
        )

    # --- fixtures -----------------------------------------------------------------------------------------------------

    @pytest.fixture
    def carrier(self) -> Iterator[FakeCarrier]:
        with closing(FakeCarrier()) as carrier:
            yield carrier

    @pytest.fixture
    def backend(self, carrier: FakeCarrier) -> Iterator[Sender]:
        with closing(self.make(carrier.url)) as backend:
            yield backend

    @pytest.fixture
    def parser(self, backend: Sender) -> CallbackParser:
        parser = callback_parser(backend)
        assert parser is not None
        return parser

    # --- tests --------------------------------------------------------------------------------------------------------

    def test_the_preset_explains_its_variables_and_its_example_completes_it(self) -> None:
        preset = presets.load(self.preset)
        complete = presets.merge(preset.config, preset.example)

        backend_class(preset.backend).Config.model_validate(complete, context=STORED)
        assert set(variables_in(preset.config)) == set(preset.variables) == set(self.environment)

    @pytest.mark.parametrize(("text", "encoding"), [(GSM_TEXT, "gsm7"), (UCS2_TEXT, "ucs2")])
    def test_a_text_is_sent(self, carrier: FakeCarrier, backend: Sender, text: str, encoding: str) -> None:
        carrier.play = self.accepting(["id-1"])
        outbound = OutboundMessage(
            to=TO,
            text=text,
            sender=SENDER,
            reference=REFERENCE,
            callback_url=f"{PUBLIC_URL}/webhooks/acme/status/?token=t",
            encoding=encoding,
            valid_until=datetime.now(UTC) + timedelta(seconds=600.9),
        )

        accepted = backend.send(outbound)

        assert accepted.provider_message_id == ("id-1" if self.has_ids else "")
        assert len(carrier.received) == 1
        sent = dict(self.sent(carrier.received[0]))
        assert (sent.pop("to"), sent.pop("text")) == (TO, text)
        assert sent.pop("from", None) == (SENDER if self.has_sender else None)
        assert sent.pop("callback_url", outbound.callback_url) == outbound.callback_url
        assert 540 <= sent.pop("valid_for", 600) <= 600
        assert sent == {}

    def test_a_text_without_a_validity_and_a_sender_is_sent(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = self.accepting(["id-1"])

        backend.send(OutboundMessage(to=TO, text=GSM_TEXT, sender=None, reference=REFERENCE))

        assert self.sent(carrier.received[0])["text"] == GSM_TEXT

    def test_every_refusal_of_the_vendor_is_understood(self, carrier: FakeCarrier, backend: Sender) -> None:
        wrong = []
        for refusal in self.refusals():
            carrier.play = refusal.play
            with pytest.raises(SendError) as caught:
                backend.send(OutboundMessage(to=TO, text=GSM_TEXT, sender=SENDER, reference=REFERENCE))
            shown = f"{caught.value.error_code} {caught.value.detail}"
            if type(caught.value) is not refusal.error or refusal.shows not in shown:
                wrong.append((refusal, type(caught.value), shown))
        assert wrong == []

    @pytest.mark.parametrize(("status", "error"), [(429, RateLimited), (502, OutcomeUnknown), (504, OutcomeUnknown)])
    def test_what_a_proxy_answers_is_no_refusal(
        self, carrier: FakeCarrier, backend: Sender, status: int, error: type[SendError]
    ) -> None:
        words = dict.fromkeys(("error", "type", "message", "success", "code", "response_code"), "error")
        for body in ({"status": status, **words}, str(status).encode(), b"ERROR: no answer from the server behind"):
            carrier.play = answer(status, body)
            with pytest.raises(SendError) as caught:
                backend.send(OutboundMessage(to=TO, text=GSM_TEXT, sender=SENDER, reference=REFERENCE))
            assert type(caught.value) is error

    @pytest.mark.parametrize("body", [b"", b"<html><title>Log in</title></html>", b"{}"])
    def test_a_success_without_the_vendors_words_is_unknown(
        self, carrier: FakeCarrier, backend: Sender, body: bytes
    ) -> None:
        carrier.play = answer(200, body, {"Content-Type": "text/html"})

        with pytest.raises(OutcomeUnknown):
            backend.send(OutboundMessage(to=TO, text=GSM_TEXT, sender=SENDER, reference=REFERENCE))

    def test_every_status_of_a_receipt_is_understood(self, parser: CallbackParser) -> None:
        if not self.has_receipts:
            pytest.skip("this vendor has no receipts")
        understood = {}
        for word in self.statuses:
            request = self.signed(self.request(self.receipt([("id-1", word)]), kind="status"))
            parser.verify(request)
            [report] = parser.parse_status(request)
            assert report.provider_message_id in {"id-1", ""}
            understood[word] = report.status
        assert understood == dict(self.statuses)

    def test_two_receipts_in_one_request_are_both_read(self, parser: CallbackParser) -> None:
        if not self.has_batches:
            pytest.skip("this vendor puts one receipt into a request")
        [first, second] = [*self.statuses, *self.statuses][:2]
        callback = self.receipt([("id-1", first), ("id-2", second)])

        reports = parser.parse_status(self.signed(self.request(callback, kind="status", attempt_id="")))

        assert [(report.provider_message_id, report.status) for report in reports] == [
            ("id-1", self.statuses[first]),
            ("id-2", self.statuses[second]),
        ]

    @pytest.mark.parametrize("text", [GSM_TEXT, UCS2_TEXT, "STOP"])
    def test_a_reply_is_read(self, parser: CallbackParser, text: str) -> None:
        if not self.has_replies:
            pytest.skip("this vendor has no replies")
        request = self.signed(self.request(self.reply(text), kind="inbound", attempt_id=""))

        parser.verify(request)
        [reply] = parser.parse_inbound(request)

        assert (reply.sender, reply.recipient, reply.text) == (TO, SENDER, text)

    def test_a_bad_proof_is_refused(self, parser: CallbackParser) -> None:
        callback = self.receipt([("id-1", next(iter(self.statuses)))]) if self.has_receipts else self.reply("a")
        good = self.signed(self.request(callback, kind="status" if self.has_receipts else "inbound"))
        proofs = {name for name in good.headers if name not in {"content-type", "content-length"}}
        bad = replace(good, token="", headers={**good.headers, **dict.fromkeys(proofs, "made-up")})
        stripped = replace(bad, headers={name: value for name, value in good.headers.items() if name not in proofs})
        other = replace(good, body=good.body + b" ", token="") if proofs else bad

        for request in (bad, stripped, other):
            with pytest.raises(InvalidSignature):
                parser.verify(request)
