"""Twilio keeps no reference of ours: a lookup matches recipient, sender, text and time."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.contract.lookup import StatusQuery
from providers.errors import AccountRefused, CredentialsRefused, OutcomeUnknown, RateLimited, SendError, Unavailable
from tests.contract.fake_carrier import FakeCarrier, answer
from tests.providers.backends.test_twilio import TO, make


class TestStatusLookup:
    QUERY = StatusQuery(
        to=TO,
        text="Hello",
        sender="+14155550100",
        reference="message-1",
        called_at=datetime(2026, 11, 22, 9, tzinfo=UTC),
    )

    @staticmethod
    def found(**values: Any) -> dict[str, Any]:
        return {
            "sid": "SM1",
            "status": "delivered",
            "body": "Hello",
            "direction": "outbound-api",
            "error_code": None,
            "date_created": "Sun, 22 Nov 2026 09:00:03 +0000",
            "date_sent": None,
            **values,
        }

    def fetch_status(self, carrier: FakeCarrier, *rows: dict[str, Any], **config: Any) -> tuple[StatusReport, ...]:
        page = {"messages": list(rows), "page_size": 20, "page": 0, "next_page_uri": None}
        carrier.play = answer(200, page)
        with closing(make(api_base_url=carrier.url, **config)) as backend:
            assert backend.capabilities.status_lookup
            return backend.fetch_status(self.QUERY)

    def test_it_asks_by_recipient_sender_and_time(self, carrier: FakeCarrier) -> None:
        self.fetch_status(carrier)

        request = carrier.received[0]
        assert request.method == "GET"
        assert request.query() == {
            "To": [TO],
            "From": ["+14155550100"],
            "DateSent>": ["2026-11-22T08:58:00Z"],
            "PageSize": ["20"],
        }

    def test_it_asks_for_numbers_in_the_notation_of_the_account(self, carrier: FakeCarrier) -> None:
        self.fetch_status(carrier, number_format="digits")

        asked = carrier.received[0].query()
        assert (asked["To"], asked["From"]) == (["14155550123"], ["14155550100"])

    @pytest.mark.parametrize(
        ("row", "report"),
        [
            ({}, StatusReport("SM1", status=ReportedStatus.DELIVERED, raw_status="delivered")),
            ({"status": "queued"}, StatusReport("SM1", status=ReportedStatus.PROGRESS, raw_status="queued")),
            (
                {"status": "failed", "error_code": 30005},
                StatusReport("SM1", status=ReportedStatus.INVALID, raw_status="failed", error_code="30005"),
            ),
        ],
        ids=["delivered", "busy", "invalid"],
    )
    def test_a_message_that_matches_is_reported_like_a_receipt(self, carrier: FakeCarrier, row, report) -> None:
        assert self.fetch_status(carrier, self.found(**row)) == (report,)

    @pytest.mark.parametrize(
        "row",
        [
            {"body": "Hello again"},
            {"direction": "inbound"},
            {"date_created": "Sun, 22 Nov 2026 09:02:01 +0000"},
            {"date_created": None},
            {"sid": None},
        ],
        ids=str,
    )
    def test_a_message_that_does_not_match_is_left_out(self, carrier: FakeCarrier, row) -> None:
        assert self.fetch_status(carrier, self.found(**row)) == ()

    def test_all_messages_that_match_are_reported(self, carrier: FakeCarrier) -> None:
        assert [
            each.provider_message_id for each in self.fetch_status(carrier, self.found(), self.found(sid="SM2"))
        ] == [
            "SM1",
            "SM2",
        ]

    @pytest.mark.parametrize(
        ("play", "error"),
        [
            (answer(401, {"code": 20003}), CredentialsRefused),
            (answer(403, {"code": 20008}), Unavailable),
            (answer(403, b"<html>"), AccountRefused),
            (answer(400, {"code": 21211}), OutcomeUnknown),
            (answer(429, {}), RateLimited),
            (answer(500, {}), OutcomeUnknown),
            (answer(200, b"<html>"), OutcomeUnknown),
        ],
        ids=lambda value: getattr(value, "__name__", ""),
    )
    def test_a_lookup_that_fails_is_an_error_of_the_catalogue(self, carrier: FakeCarrier, play, error) -> None:
        carrier.play = play
        with closing(make(api_base_url=carrier.url)) as backend, pytest.raises(SendError) as caught:
            backend.fetch_status(self.QUERY)

        assert type(caught.value) is error
