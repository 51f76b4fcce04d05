"""Files of messages: which may be sent, and putting them onto a message."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Max

from media_store.models import MediaAsset
from media_store.services import grant, signed_url, visible_to
from messaging.models import Attachment, Message
from messaging.models.attachment import MAX_ATTACHMENTS
from messaging.services.errors import InvalidField, NotAttachable
from messaging.states import CANCELABLE, Direction
from providers import registry, routing
from providers.candidates import candidate_of
from providers.models import ProviderAccount, SenderNumber

# Providers fetch a file when they get to it, and once more when the carrier was away.
URL_LIFETIME = timedelta(days=1)


class MediaChecks:
    """What there is to know about the media of a batch of messages, fetched once; no query where there are none."""

    def __init__(self, owner: User, wanted: Iterable[tuple[UUID, ...]]) -> None:
        ids = {asset_id for assets in wanted for asset_id in assets}
        self._visible = held(owner, ids)
        accounts = ProviderAccount.objects.filter(is_enabled=True) if self._visible else []
        self._carriers = [candidate_of(account) for account in accounts if registry.supports_media(account)]
        bound = SenderNumber.objects.filter(account__isnull=False) if self._carriers else []
        self._bound = {str(sender.number): sender.account_id for sender in bound}

    def fault(self, assets: Sequence[UUID], *, number: str, sender: str) -> InvalidField | None:
        """Why these files cannot go to this number; None when they can, or when there are none."""
        if not assets:
            return None
        if not self._visible.issuperset(assets):
            return InvalidField("media", "unknown_asset", "There is no such media asset.")
        only = self._bound.get(sender)
        if any(
            only in {None, carrier.slug} and carrier.weight > 0 and routing.serves(carrier, number)
            for carrier in self._carriers
        ):
            return None
        return InvalidField("media", "media_not_supported", "No provider account can send media to this number.")


def held(owner: User, ids: Collection[UUID]) -> set[UUID]:
    """Those of the assets that the owner sees, kept from being deleted until the caller's transaction ends."""
    if not ids:
        return set()
    rows = visible_to(owner).filter(pk__in=ids).select_for_update(of=("self",), no_key=True)
    return set(rows.values_list("pk", flat=True))


def create(rows: Iterable[tuple[Message, Sequence[UUID]]]) -> None:
    """Put assets onto messages that are new, in their order."""
    Attachment.objects.bulk_create(
        Attachment(message=message, position=place, asset_id=asset)
        for message, assets in rows
        for place, asset in enumerate(assets)
    )


def urls_of(messages: Sequence[Message], *, now: datetime) -> dict[UUID, tuple[str, ...]]:
    """For providers: each message's files as addresses that say by themselves that they may be read, for a while."""
    if not messages:
        return {}
    found: dict[UUID, tuple[str, ...]] = {}
    files = Attachment.objects.filter(message__in=messages, asset__isnull=False).select_related("asset")
    for file in files.order_by("position"):
        url = signed_url(file.asset, public_url=settings.PUBLIC_URL, lifetime=URL_LIFETIME, now=now)
        found[file.message_id] = (*found.get(file.message_id, ()), url)
    return found


def check_attachable(message: Message) -> None:
    """Raise `NotAttachable` unless the message may get files: one that came in at any time, one to be sent while it waits."""
    if message.direction == Direction.OUTBOUND and message.status not in CANCELABLE:
        raise NotAttachable(f"The message is {message.status}; files can be added only while it waits.")


def attach(*, message_id: UUID, assets: Sequence[MediaAsset], actor: User, now: datetime) -> int:
    """Put more files onto a message, whose owner sees them from then on; returns how many were not there already.

    Raises `NotAttachable` or `InvalidField`, then nothing changes.
    """
    with transaction.atomic():
        message = Message.objects.select_for_update(of=("self",)).select_related("owner").get(pk=message_id)
        check_attachable(message)
        if not held(actor, [asset.pk for asset in assets]).issuperset(asset.pk for asset in assets):
            raise InvalidField("file", "unknown_asset", "There is no such media asset.")
        present = set(message.attachments.values_list("asset_id", flat=True))
        new = [asset for asset in dict.fromkeys(assets) if asset.pk not in present]
        if message.media_count + len(new) > MAX_ATTACHMENTS:
            raise InvalidField("file", "too_many_files", f"A message has {MAX_ATTACHMENTS} files at the most.")
        if message.direction == Direction.OUTBOUND:
            _check_outbound(message, new, actor)
        last = message.attachments.aggregate(last=Max("position"))["last"]
        start = 0 if last is None else last + 1
        Attachment.objects.bulk_create(
            Attachment(message=message, position=place, asset=asset) for place, asset in enumerate(new, start)
        )
        if new:
            Message.objects.filter(pk=message.pk).update(media_count=F("media_count") + len(new), updated_at=now)
        if message.owner is not None:
            for asset in new:
                grant(asset, message.owner)
    return len(new)


def _check_outbound(message: Message, assets: Sequence[MediaAsset], actor: User) -> None:
    ids = tuple(asset.pk for asset in assets)
    fault = MediaChecks(actor, [ids]).fault(ids, number=message.to_number, sender=message.from_number)
    if fault is not None:
        raise InvalidField("file", fault.field_code, fault.detail)
