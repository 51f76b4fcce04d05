"""People's texts for clients that speak SMPP: kept until the client has acknowledged all parts.

The event log says which texts have arrived. Only credentials that ask for texts get rows; the text is read from the message
when it is sent.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, F

from messaging.event_types import EventType
from messaging.models import GatewayCredential, GatewayText, Message
from messaging.models.encrypted import fault_of
from messaging.services.webhooks import gateway_claims
from messaging.services.webhooks.gateway_claims import GatewayClaim

logger = logging.getLogger(__name__)

EVENT_TYPE = EventType.MESSAGE_RECEIVED
KEPT_FOR = timedelta(days=7)
State = GatewayText.State


@dataclass(frozen=True, slots=True, kw_only=True)
class TextJob(GatewayClaim):
    """One text to deliver. `parts_taken` has a bit for each part that the client has acknowledged, the lowest for the first."""

    id: int
    source: str = field(repr=False)
    destination: str = field(repr=False)
    text: str = field(repr=False)
    parts_taken: int


def add(owners: Mapping[UUID, int], *, now: datetime) -> None:
    """Create the rows of inbound messages, given with their owners. One query for owners without credentials that want texts.

    The caller's transaction has numbered the events of the messages.
    """
    if not owners:
        return
    wanting = GatewayCredential.objects.filter(user__in=set(owners.values()), receives_texts=True, revoked_at=None)
    of_owner: dict[int, list[int]] = {}
    for pk, owner_id in wanting.values_list("pk", "user"):
        of_owner.setdefault(owner_id, []).append(pk)
    wanted = [pk for pk, owner_id in owners.items() if owner_id in of_owner]
    if not wanted:
        return
    kept = Message.objects.filter(pk__in=wanted, erased_at=None).order_by("pk").values_list("pk", flat=True)
    GatewayText.objects.bulk_create(
        [
            GatewayText(credential_id=credential_id, message_id=pk, created_at=now, next_attempt_at=now)
            for pk in kept
            for credential_id in of_owner[owners[pk]]
        ],
        ignore_conflicts=True,
    )


def claim(*, places: Mapping[int, int], now: datetime, lease: timedelta) -> list[TextJob]:
    """Claim due texts: of each credential in `places` at most so many. A text that cannot be decrypted is tried again later."""
    rows = gateway_claims.claim(GatewayText, places=places, now=now, lease=lease)
    if not rows:
        return []
    kept = Message.objects.filter(erased_at=None).select_related("provider")
    messages = kept.in_bulk([row.message_id for row in rows])
    pairs = [(row, messages[row.message_id]) for row in rows if row.message_id in messages]
    if len(pairs) < len(rows):  # erased while the row was made
        GatewayText.objects.filter(pk__in=[row.pk for row in rows]).exclude(message__in=messages).delete()
    lost = [_job(row, message, text="") for row, message in pairs if fault_of(message, "text")]
    if lost:
        logger.error("%d texts for SMPP clients cannot be decrypted", len(lost))
        settle(acknowledged=[], refused=lost, now=now)
    return [_job(row, message, text=message.text) for row, message in pairs if not fault_of(message, "text")]


def _job(row: GatewayText, message: Message, *, text: str) -> TextJob:
    account_number = message.provider.from_number if message.provider is not None else None
    return TextJob(
        **gateway_claims.held_by(row),
        source=message.from_number,
        destination=message.to_number or account_number or "",
        text=text,
        parts_taken=row.parts_taken,
    )


def settle(*, acknowledged: Sequence[TextJob], refused: Sequence[TextJob], now: datetime) -> None:
    """Forget the texts of which all parts were acknowledged; try the missing parts of the others again later."""
    _keep_parts(refused)
    gateway_claims.settle(GatewayText, acknowledged=acknowledged, refused=refused, now=now)


def release(jobs: Sequence[TextJob], *, now: datetime) -> None:
    """Make texts due again whose next part was provably not sent."""
    _keep_parts(jobs)
    gateway_claims.release(GatewayText, jobs, now=now)


def _keep_parts(jobs: Sequence[TextJob]) -> None:
    for job in jobs:
        if job.parts_taken:
            held = gateway_claims.held(GatewayText, job)
            held.update(parts_taken=F("parts_taken").bitor(job.parts_taken))


def take_late(text_id: int, *, part: int, count: int) -> None:
    """The acknowledgment of a part came late, when it was to be tried again. Parts are numbered from 1."""
    row = GatewayText.objects.filter(pk=text_id)
    row.update(parts_taken=F("parts_taken").bitor(bit_of(part)))
    row.filter(state=State.PENDING, parts_taken=all_bits(count)).delete()


def bit_of(part: int) -> int:
    return 1 << (part - 1)


def all_bits(count: int) -> int:
    return (1 << count) - 1


def purge(*, now: datetime) -> int:
    """Delete the texts that no client has taken for `KEPT_FOR`; return their number. The messages stay."""
    count, _ = GatewayText.objects.filter(created_at__lt=now - KEPT_FOR).exclude(state=State.SENDING).delete()
    if count:
        logger.warning("%d texts not delivered by SMPP: no client has taken them for %d days", count, KEPT_FOR.days)
    return count


def counts() -> dict[str, int]:
    """Texts by state. The table holds only what is still to be delivered."""
    found = dict(GatewayText.objects.order_by().values_list("state").annotate(count=Count("pk")))
    return {state: found.get(state, 0) for state in State.values}
