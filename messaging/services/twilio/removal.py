"""Delete a message, its text or one of its files, as a client of Twilio's API asks for it."""

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F

from media_store import services as media
from media_store.errors import AssetInUse
from media_store.models import MediaAsset
from messaging.models import Message
from messaging.services.privacy import retention
from messaging.services.twilio.errors import MessageInProgress
from messaging.states import NOT_ENDED


def delete(*, message_id: UUID, now: datetime) -> None:
    """Delete the message and all that belongs to it. Raises `Message.DoesNotExist` or `MessageInProgress`."""
    with transaction.atomic():
        retention.delete_messages([_ended(message_id)], now=now)


def redact(*, message_id: UUID, now: datetime) -> Message:
    """Erase the text and the media. Raises `Message.DoesNotExist` or `MessageInProgress`."""
    with transaction.atomic():
        message = _ended(message_id)
        if message.erased_at is None:
            retention.erase_texts([message.pk], now=now)
            Message.objects.filter(pk=message.pk).update(updated_at=now)
    return Message.objects.get(pk=message_id)


def delete_media(*, message_id: UUID, asset_id: UUID, owner: User, now: datetime) -> bool:
    """Remove a file from the message, and from its owner's images unless another message has it. False if it is not there.

    Raises `Message.DoesNotExist` or `MessageInProgress`.
    """
    with transaction.atomic():
        message = _ended(message_id)
        removed, _ = message.attachments.filter(asset=asset_id).delete()
        if not removed:
            return False
        Message.objects.filter(pk=message.pk).update(media_count=F("media_count") - 1, updated_at=now)
    with suppress(AssetInUse, MediaAsset.DoesNotExist):  # another message has it, or it is already deleted
        media.delete(asset_id=asset_id, owner=owner)
    return True


def _ended(message_id: UUID) -> Message:
    message = Message.objects.select_for_update(of=("self",)).get(pk=message_id)
    if message.status in NOT_ENDED:
        raise MessageInProgress(f"The message is {message.status}.")
    return message
