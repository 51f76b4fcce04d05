"""The tests of a backend with a status lookup. Its test module subclasses `StatusLookupContract` and fills in the hooks."""

import time
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

import pytest

from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.contract.lookup import StatusQuery, status_lookup
from providers.contract.sender import Sender
from providers.errors import CredentialsRefused, SendError
from tests.contract.fake_carrier import BROKEN_RESPONSES, FakeCarrier, Play, answer
from tests.contract.kit import (
    IMPATIENT,
    REFERENCE,
    SENDER,
    TEXT,
    TO,
    SenderContract,
    assert_nothing_private,
)

CALLED_AT = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
QUERY = StatusQuery(to=TO, text=TEXT, sender=SENDER, reference=REFERENCE, called_at=CALLED_AT)


class StatusLookupContract(SenderContract):
    """The hooks first, then the tests."""

    has_status_lookup = True

    @abstractmethod
    def found(self, message_id: str, raw_status: str) -> Play:
        """The response of a provider that has the message of `QUERY`."""

    @abstractmethod
    def not_found(self) -> Play:
        """The response of a provider that does not have it."""

    def test_a_message_that_the_provider_has_is_found(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = self.found("id-1", "delivered")

        assert fetch_status(backend) == [StatusReport("id-1", ReportedStatus.DELIVERED, "delivered")]
        assert [request.method for request in carrier.received] == ["GET"]

    def test_an_unknown_status_is_found_as_unrecognized(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = self.found("id-1", "teleported" * 10)

        [report] = fetch_status(backend)

        assert report == StatusReport("id-1", ReportedStatus.UNRECOGNIZED, ("teleported" * 10)[:64])

    def test_a_message_that_the_provider_does_not_have_is_not_found(
        self, carrier: FakeCarrier, backend: Sender
    ) -> None:
        carrier.play = self.not_found()

        assert fetch_status(backend) == []

    @pytest.mark.parametrize("broken", BROKEN_RESPONSES.values(), ids=BROKEN_RESPONSES.keys())
    def test_a_broken_response_is_an_error_of_the_catalogue(self, carrier: FakeCarrier, broken: Play) -> None:
        carrier.play = broken
        began = time.monotonic()

        with closing(self.make(carrier.url, IMPATIENT)) as backend, pytest.raises(SendError) as caught:
            fetch_status(backend)

        assert_nothing_private(caught.value)
        assert time.monotonic() - began < 10

    def test_a_lookup_with_refused_credentials_says_so(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = answer(401, b"no")

        with pytest.raises(CredentialsRefused):
            fetch_status(backend)


def fetch_status(backend: Sender) -> Sequence[StatusReport]:
    lookup = status_lookup(backend)
    assert lookup is not None
    return list(lookup.fetch_status(QUERY))
