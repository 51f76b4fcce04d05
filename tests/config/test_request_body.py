"""Receiving request bodies: deadlines, sizes and the budget of disk space."""

import asyncio
import tempfile
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import RequestAborted

from config.request_body import BodyLimits, BodyRefused, Deadline, DiskBudget, ReceivedBody, receive_body

IN_MEMORY = 64 * 1024
PATIENT = BodyLimits()
HASTY = BodyLimits(idle_seconds=0.01)


class Client:
    """Sends these chunks and then nothing, not even the end of the body."""

    def __init__(self, pieces: Iterable[bytes], *, ends: bool = False) -> None:
        self._messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        if ends:
            self._messages.append({"type": "http.request", "body": b"", "more_body": False})
        self.asked = 0

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop(0)


def received(
    client: Client, *, budget: DiskBudget | None = None, announced: int = 0, limits: BodyLimits = PATIENT
) -> bytes:
    with ReceivedBody(budget or DiskBudget(10 * IN_MEMORY)) as body:
        asyncio.run(receive_body(client, body, announced=announced, max_bytes=5 * IN_MEMORY, limits=limits))
        return body.read()


def refusal(client: Client, **options: Any) -> HTTPStatus:
    with pytest.raises(BodyRefused) as refused:
        received(client, **options)
    return refused.value.status


@pytest.mark.parametrize("pieces", [[], [b"a"], [b"a", b"", b"b"], [b"x" * IN_MEMORY] * 5])
def test_a_body_is_what_its_pieces_are(pieces: list[bytes]) -> None:
    assert received(Client(pieces, ends=True)) == b"".join(pieces)


@pytest.mark.parametrize("pieces", [[], [b"{"], [b"x" * IN_MEMORY] * 2])
def test_a_body_that_stops_arriving_is_408(pieces: list[bytes]) -> None:
    assert refusal(Client(pieces), limits=HASTY) == HTTPStatus.REQUEST_TIMEOUT


def test_a_client_that_disconnects_is_distinguished() -> None:
    class Leaving(Client):
        async def __call__(self) -> dict[str, Any]:
            return {"type": "http.disconnect"}

    with pytest.raises(RequestAborted):
        received(Leaving([]))


def test_an_announced_body_that_is_too_large_is_not_read_at_all() -> None:
    client = Client([b"x"], ends=True)

    assert refusal(client, announced=5 * IN_MEMORY + 1) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert client.asked == 0


def test_a_body_that_becomes_too_large_is_read_no_further() -> None:
    client = Client([b"x" * IN_MEMORY] * 100, ends=True)

    assert refusal(client) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert client.asked == 6


def test_a_body_for_a_full_disk_is_503(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))  # fails at the same point as a full disk

    assert refusal(Client([b"x" * IN_MEMORY] * 3, ends=True)) == HTTPStatus.SERVICE_UNAVAILABLE


class TestDeadline:
    @pytest.fixture
    def deadline(self) -> Deadline:
        return Deadline(PATIENT)

    def test_the_first_pause_is_as_long_as_any(self, deadline: Deadline) -> None:
        assert deadline.seconds_left(0) == 15

    def test_a_byte_now_and_then_is_too_slow(self, deadline: Deadline) -> None:
        for second in range(1, 16):
            assert deadline.seconds_left(second - 1) > 0
            deadline.received(1, second)

        assert deadline.seconds_left(16) <= 0

    def test_a_steady_slow_upload_may_continue(self, deadline: Deadline) -> None:
        """8 KiB a second, for five minutes."""
        for second in range(1, 301):
            deadline.received(8 * 1024, second)
            assert deadline.seconds_left(second) == 15

    def test_a_fast_beginning_does_not_buy_a_slow_end(self, deadline: Deadline) -> None:
        deadline.received(50 * 1024 * 1024, 5)

        for second in range(6, 65, 10):
            assert deadline.seconds_left(second) > 0
            deadline.received(1, second)
        assert deadline.seconds_left(66) <= 0

    def test_nothing_takes_longer_than_ten_minutes(self, deadline: Deadline) -> None:
        deadline.received(1024**3, 598)

        assert deadline.seconds_left(599) == 1


class TestDiskBudget:
    def test_small_bodies_need_none_of_it(self) -> None:
        assert received(Client([b"x" * IN_MEMORY], ends=True), budget=DiskBudget(0)) == b"x" * IN_MEMORY

    def test_a_body_over_the_budget_is_503(self) -> None:
        assert (
            refusal(Client([b"x" * IN_MEMORY] * 3), budget=DiskBudget(2 * IN_MEMORY)) == HTTPStatus.SERVICE_UNAVAILABLE
        )

    @pytest.mark.parametrize("ends", [True, False])
    def test_it_is_given_back_whatever_becomes_of_the_request(self, *, ends: bool) -> None:
        budget = DiskBudget(3 * IN_MEMORY)
        client = Client([b"x" * IN_MEMORY] * 3, ends=ends)
        if ends:
            received(client, budget=budget)
        else:
            refusal(client, budget=budget, limits=HASTY)

        assert budget.reserve(3 * IN_MEMORY)
        assert not budget.reserve(1)
