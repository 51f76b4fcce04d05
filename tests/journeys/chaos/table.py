"""The results of one scenario, and the table that `make chaos` prints."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.journeys.client import Message

ON_THE_WAY = frozenset({"scheduled", "queued", "sending"})
TAKEN = frozenset({"sent", "delivered", "undelivered"})
NOT_TAKEN = frozenset({"failed", "canceled"})
COLUMNS = ("accepted", "delivered", "sent", "failed", "unknown", "lost", "twice")


@dataclass(frozen=True)
class Row:
    """A message is lost if it is still in flight, missing, or has a status that contradicts the carriers."""

    name: str
    accepted: int
    statuses: Mapping[str, int]
    reasons: Mapping[str, int]
    lost: int
    twice: int
    seconds: float

    def cells(self) -> list[str]:
        counts = {"accepted": self.accepted, "lost": self.lost, "twice": self.twice, **self.statuses}
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.reasons.items()))
        return [self.name, *(str(counts.get(column, 0)) for column in COLUMNS), f"{self.seconds:.1f}", reasons]


def row_of(
    name: str, *, ids: Iterable[str], messages: Mapping[str, Message], taken: Counter[str], seconds: float
) -> Row:
    """`taken` counts how often the carriers accepted each message."""
    wanted = set(ids)
    found = {pk: messages[pk]["status"] for pk in wanted & messages.keys()}
    lost = [
        pk
        for pk in wanted
        if (status := found.get(pk)) is None
        or status in ON_THE_WAY
        or (status in TAKEN and not taken[pk])
        or (status in NOT_TAKEN and taken[pk])
    ]
    errors = (messages[pk]["error"] for pk, status in found.items() if status in {"failed", "unknown"})
    return Row(
        name=name,
        accepted=len(wanted),
        statuses=Counter(found.values()),
        reasons=Counter(error["code"] if error else "no reason" for error in errors),
        lost=len(lost),
        twice=sum(1 for pk in wanted if taken[pk] > 1),
        seconds=seconds,
    )


def printed(rows: Iterable[Row]) -> str:
    heading = ["fault", *COLUMNS, "seconds", "reasons of failed and unknown"]
    lines = [heading, *(row.cells() for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heading))]
    last = len(heading) - 1
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in {0, last} else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
