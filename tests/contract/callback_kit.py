"""The tests of a backend with callbacks. Its test module subclasses `CallbackContract` and fills in the hooks."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from providers.contract.callbacks import CallbackParser, CallbackRequest, ReportedStatus, StatusReport, callback_parser
from providers.contract.sender import Sender
from providers.errors import InvalidSignature, MalformedCallback
from tests.contract.fake_carrier import FakeCarrier
from tests.contract.kit import CALLBACK_URL, PRIVATE, SECRET, SENDER, TEXT, TO, SenderContract


class CallbackContract(SenderContract):
    """The hooks first, then the tests."""

    has_callbacks = True
    delivered = "delivered"  # the provider's word for it

    @abstractmethod
    def authenticated(self, body: bytes, *, secret: str | None = None, url: str = CALLBACK_URL) -> CallbackRequest:
        """A callback with this body as the provider sends it, authenticated with `secret` instead of the real one if given."""

    @abstractmethod
    def unauthenticated(self, body: bytes) -> CallbackRequest:
        """The same callback without a signature, token or credentials."""

    @abstractmethod
    def receipt_body(self, message_id: str | None, raw_status: str | None) -> bytes:
        """A receipt; None leaves the field out."""

    @abstractmethod
    def inbound_body(self, text: str, sender: str = SENDER) -> bytes:
        """An incoming message to `TO`."""

    def malformed_bodies(self) -> dict[str, bytes]:
        """Bodies that this provider could sign and that are malformed, besides those that are so for every provider."""
        return {}

    def garbled(self, request: CallbackRequest, garbage: str) -> CallbackRequest:
        """The request with garbage in place of its proof."""
        return replace(request, headers=dict.fromkeys(request.headers, garbage), token=garbage)

    # --- fixtures -----------------------------------------------------------------------------------------------------

    @pytest.fixture
    def parser(self, backend: Sender) -> CallbackParser:
        found = callback_parser(backend)
        assert found is not None
        return found

    # --- tests --------------------------------------------------------------------------------------------------------

    def test_an_authenticated_callback_passes(self, parser: CallbackParser) -> None:
        parser.verify(self.authenticated(self.receipt_body("id-1", "delivered")))

    def test_an_unauthenticated_callback_is_refused(self, parser: CallbackParser) -> None:
        with pytest.raises(InvalidSignature) as caught:
            parser.verify(self.unauthenticated(self.receipt_body("id-1", "delivered")))

        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize("secret", ["the-former-secret", SECRET.upper()])
    def test_another_secret_is_refused(self, parser: CallbackParser, secret: str) -> None:
        with pytest.raises(InvalidSignature):
            parser.verify(self.authenticated(self.receipt_body("id-1", "delivered"), secret=secret))

    @pytest.mark.parametrize("garbage", ["", " ", "Basic", "Basic é", "sha256=", "sha256=zz", "%00", "\udc80"])
    def test_garbage_in_place_of_the_proof_is_refused(self, parser: CallbackParser, garbage: str) -> None:
        request = self.authenticated(self.receipt_body("id-1", "delivered"))

        with pytest.raises(InvalidSignature):
            parser.verify(self.garbled(request, garbage))

    def test_the_statuses_every_provider_has_are_understood(self, parser: CallbackParser) -> None:
        [report] = parser.parse_status(self.authenticated(self.receipt_body("id-1", self.delivered)))

        assert report == StatusReport("id-1", ReportedStatus.DELIVERED, self.delivered)

    def test_an_unknown_status_is_reported_as_unrecognized(self, parser: CallbackParser) -> None:
        [report] = parser.parse_status(self.authenticated(self.receipt_body("id-1", "teleported" * 10)))

        assert report == StatusReport("id-1", ReportedStatus.UNRECOGNIZED, ("teleported" * 10)[:64])

    def test_the_same_receipt_is_read_the_same_way_twice(self, parser: CallbackParser) -> None:
        request = self.authenticated(self.receipt_body("id-1", "failed"))

        assert parser.parse_status(request) == parser.parse_status(request)

    def test_a_body_that_cannot_be_understood_is_malformed(self, parser: CallbackParser) -> None:
        bodies = {
            "empty": b"",
            "binary": b"\xff\xfe\x00\x80",
            "no id": self.receipt_body(None, "delivered"),
            "blank id": self.receipt_body("  ", "delivered"),
            "long id": self.receipt_body("x" * 129, "delivered"),
            "NUL in the id": self.receipt_body("a\x00b", "delivered"),
            "no status": self.receipt_body("id-1", None),
            "blank status": self.receipt_body("id-1", " "),
            "NUL in the status": self.receipt_body("id-1", "deli\x00vered"),
            "huge": b"a" * 5_000_000,
            **self.malformed_bodies(),
        }

        understood = [name for name, body in bodies.items() if not _is_malformed(parser, self.authenticated(body))]

        assert understood == []

    def test_an_incoming_message_is_understood(self, parser: CallbackParser) -> None:
        [inbound] = parser.parse_inbound(self.authenticated(self.inbound_body(TEXT)))

        assert (inbound.sender, inbound.recipient, inbound.text) == (SENDER, TO, TEXT)
        assert (inbound.provider_message_id, inbound.media_urls) == ("in-1", ())

    def test_a_receipt_that_comes_twice_is_authenticated_twice(self, parser: CallbackParser) -> None:
        request = self.authenticated(self.receipt_body("id-1", self.delivered))

        for _ in range(2):
            parser.verify(request)

    @pytest.mark.parametrize(
        "body",
        [b"", b"\xff\xfe\x00\x80", b"{", b"[]", b"5", b"a" * 5_000_000],
        ids=["empty", "binary", "cut", "a list", "a number", "huge"],
    )
    def test_an_incoming_message_that_cannot_be_understood_is_malformed(
        self, parser: CallbackParser, body: bytes
    ) -> None:
        with pytest.raises(MalformedCallback):
            parser.parse_inbound(self.authenticated(body))

    def test_an_incoming_message_with_a_nul_or_without_a_sender_is_malformed(self, parser: CallbackParser) -> None:
        for body in (self.inbound_body("a\x00b"), self.inbound_body("a", sender=" ")):
            with pytest.raises(MalformedCallback):
                parser.parse_inbound(self.authenticated(body))

    def test_the_response_to_an_incoming_message_has_a_content_type(self, parser: CallbackParser) -> None:
        response = parser.inbound_response

        assert (response.content_type, bool(response.body)) in {("application/json", True), ("text/xml", True)}

    def test_credentials_for_media_belong_to_one_origin(self, carrier: FakeCarrier) -> None:
        with closing(self.make(f"{carrier.url}/")) as backend:
            parser = callback_parser(backend)
            access = parser.media_access() if parser else None

        assert access is None or (access.origin, SECRET in repr(access)) == (carrier.url, False)

    def test_nothing_private_is_in_the_repr_of_a_callback(self, parser: CallbackParser) -> None:
        [inbound] = parser.parse_inbound(self.authenticated(self.inbound_body(TEXT)))

        shown = repr((inbound, self.authenticated(b"x")))

        assert not [private for private in (*PRIVATE, "current-key") if private in shown]


class SignedTimeContract(CallbackContract):
    """For a provider that signs the time as well: an old proof is refused, so that nobody can repeat what they once saw."""

    oldest: timedelta  # how old a proof may be

    @abstractmethod
    def authenticated_at(self, body: bytes, at: datetime) -> CallbackRequest:
        """A callback with this body, authenticated at this time."""

    def test_an_old_signature_is_refused(self, parser: CallbackParser) -> None:
        signed_at = datetime.now(UTC) - self.oldest - timedelta(minutes=1)

        with pytest.raises(InvalidSignature):
            parser.verify(self.authenticated_at(self.receipt_body("id-1", self.delivered), signed_at))

    def test_a_signature_that_is_not_quite_old_passes(self, parser: CallbackParser) -> None:
        signed_at = datetime.now(UTC) - self.oldest + timedelta(minutes=1)

        parser.verify(self.authenticated_at(self.receipt_body("id-1", self.delivered), signed_at))

    def test_a_signature_of_the_future_is_refused(self, parser: CallbackParser) -> None:
        signed_at = datetime.now(UTC) + self.oldest + timedelta(minutes=1)

        with pytest.raises(InvalidSignature):
            parser.verify(self.authenticated_at(self.receipt_body("id-1", self.delivered), signed_at))


class BatchContract(CallbackContract):
    """For a provider that sends several receipts in one request: all of them are read, or none."""

    @abstractmethod
    def batch_body(self, receipts: Sequence[bytes]) -> bytes:
        """One body with these receipts, each as `receipt_body` makes it."""

    def test_all_receipts_of_a_body_are_read_in_their_order(self, parser: CallbackParser) -> None:
        receipts = [self.receipt_body("id-2", self.delivered), self.receipt_body("id-1", "teleported")]

        reports = parser.parse_status(self.authenticated(self.batch_body(receipts)))

        assert [(report.provider_message_id, report.raw_status) for report in reports] == [
            ("id-2", self.delivered),
            ("id-1", "teleported"),
        ]

    def test_a_body_with_one_receipt_that_cannot_be_understood_is_malformed(self, parser: CallbackParser) -> None:
        receipts = [self.receipt_body("id-1", self.delivered), self.receipt_body("id-2", None)]

        for order in (receipts, receipts[::-1]):
            with pytest.raises(MalformedCallback):
                parser.parse_status(self.authenticated(self.batch_body(order)))


def _is_malformed(parser: CallbackParser, request: CallbackRequest) -> bool:
    try:
        parser.parse_status(request)
    except MalformedCallback as error:
        return not [private for private in PRIVATE if private in str(error)]
    return False
