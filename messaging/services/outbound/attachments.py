"""Media of messages: check that they can be sent, attach them, and find what is to be sent."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Max

from media_store.content_types import is_image
from media_store.models import MediaAsset
from media_store.services import grant, profiles_of, visible_to
from messaging.models import Attachment, Message
from messaging.models.attachment import MAX_ATTACHMENTS
from messaging.services.errors import InvalidField, NotAttachable
from messaging.states import CANCELABLE, Direction
from providers import registry, routing
from providers.models import ProviderAccount, SenderNumber


@dataclass(frozen=True, slots=True)
class OutgoingFile:
    """One file of a message, and the names of the profiles for which a smaller copy of it exists."""

    asset: MediaAsset
    profiles: frozenset[str]


class MediaChecks:
    """Checks the media of a batch of messages with a constant number of queries; no query for a batch without media."""

    def __init__(self, owner: User, asset_lists: Iterable[tuple[UUID, ...]]) -> None:
        ids = {asset_id for assets in asset_lists for asset_id in assets}
        self._visible = _lock(owner, ids)
        accounts = ProviderAccount.objects.filter(is_enabled=True) if self._visible else []
        self._carriers = [account.as_candidate() for account in accounts if registry.capabilities_of(account).media]
        bound = SenderNumber.objects.filter(account__isnull=False) if self._carriers else []
        self._bound = {sender.number: sender.account_id for sender in bound}

    def error(self, assets: Sequence[UUID], *, number: str, sender: str) -> InvalidField | None:
        """Return the error that forbids sending these assets to this number, or None."""
        if not assets:
            return None
        if not self._visible.keys() >= set(assets):
            return InvalidField("media", "unknown_asset", "There is no such media asset.")
        if not all(is_image(self._visible[asset]) for asset in assets):
            return InvalidField("media", "not_an_image", "Only images can be sent; this is a file that came in.")
        bound_account = self._bound.get(sender)
        if any(
            bound_account in {None, carrier.slug} and carrier.weight > 0 and routing.serves(carrier, number)
            for carrier in self._carriers
        ):
            return None
        return InvalidField("media", "media_not_supported", "No provider account can send media to this number.")


def lock_visible(owner: User, ids: Collection[UUID]) -> set[UUID]:
    """Return the ids that the owner may use, and lock their rows against deletion until the caller's transaction ends."""
    return set(_lock(owner, ids))


def _lock(owner: User, ids: Collection[UUID]) -> dict[UUID, str]:
    """As `lock_visible`, with the media type of each."""
    if not ids:
        return {}
    rows = visible_to(owner).filter(pk__in=ids).select_for_update(of=("self",), no_key=True)
    return dict(rows.values_list("pk", "content_type"))


def create(rows: Iterable[tuple[Message, Sequence[UUID]]]) -> None:
    """Attach assets, in their order, to messages that have none yet."""
    Attachment.objects.bulk_create(
        Attachment(message=message, position=position, asset_id=asset)
        for message, assets in rows
        for position, asset in enumerate(assets)
    )


def files_of(messages: Sequence[Message]) -> dict[UUID, tuple[OutgoingFile, ...]]:
    """The media of each message, in order. Two queries, and none without messages."""
    if not messages:
        return {}
    rows = Attachment.objects.filter(message__in=messages, asset__isnull=False).select_related("asset")
    assets = [(row.message_id, row.asset) for row in rows.order_by("position") if row.asset is not None]
    profiles: dict[UUID, set[str]] = defaultdict(set)
    for asset_id, profile in profiles_of(asset.pk for _, asset in assets):
        profiles[asset_id].add(profile)
    found: dict[UUID, tuple[OutgoingFile, ...]] = {}
    for message_id, asset in assets:
        file = OutgoingFile(asset, frozenset(profiles[asset.pk]))
        found[message_id] = (*found.get(message_id, ()), file)
    return found


def check_attachable(message: Message) -> None:
    """Raise `NotAttachable` for an outbound message that is no longer cancelable; inbound ones always accept files."""
    if message.direction == Direction.OUTBOUND and message.status not in CANCELABLE:
        raise NotAttachable(f"The message is {message.status}; files can be added only while it waits.")


def attach(*, message_id: UUID, assets: Sequence[MediaAsset], actor: User, now: datetime) -> int:
    """Attach more assets to a message and give its owner access to them; return how many were not attached before.

    Raises `NotAttachable` or `InvalidField`; then nothing changes.
    """
    with transaction.atomic():
        message = Message.objects.select_for_update(of=("self",)).select_related("owner").get(pk=message_id)
        check_attachable(message)
        if not lock_visible(actor, [asset.pk for asset in assets]).issuperset(asset.pk for asset in assets):
            raise InvalidField("file", "unknown_asset", "There is no such media asset.")
        present = set(message.attachments.values_list("asset_id", flat=True))
        new = [asset for asset in dict.fromkeys(assets) if asset.pk not in present]
        kept = message.attachments.exclude(asset=None, next_attempt_at=None)  # not those that were given up
        if kept.count() + len(new) > MAX_ATTACHMENTS:
            raise InvalidField("file", "too_many_files", f"A message has at most {MAX_ATTACHMENTS} files.")
        if message.direction == Direction.OUTBOUND:
            _check_outbound(message, new, actor)
        last = message.attachments.aggregate(last=Max("position"))["last"]
        start = 0 if last is None else last + 1
        Attachment.objects.bulk_create(
            Attachment(message=message, position=position, asset=asset) for position, asset in enumerate(new, start)
        )
        if new:
            Message.objects.filter(pk=message.pk).update(media_count=F("media_count") + len(new), updated_at=now)
        if message.owner is not None:
            for asset in new:
                grant(asset, message.owner)
    return len(new)


def _check_outbound(message: Message, assets: Sequence[MediaAsset], actor: User) -> None:
    ids = tuple(asset.pk for asset in assets)
    error = MediaChecks(actor, [ids]).error(ids, number=message.to_number, sender=message.from_number)
    if error is not None:
        raise InvalidField("file", error.field_code, error.detail)
