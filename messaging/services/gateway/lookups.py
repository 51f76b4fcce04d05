"""Messages by the id that a client was told, of its own messages only."""

from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User

from messaging.models import GatewayPart, Message
from messaging.services.errors import DomainError, NotCancelable
from messaging.services.outbound import cancel

MAY_CANCEL = "messaging.change_message"


class NoSuchMessage(DomainError):
    code = "no_such_message"


class Incomplete(DomainError):
    """The text waits for its other parts, and is no message yet."""

    code = "incomplete"


def find(*, owner: User, told_id: str) -> Message:
    """Return the message. Raises `NoSuchMessage` or `Incomplete`."""
    key = _key(told_id)
    part = GatewayPart.objects.filter(pk=key, credential__user=owner).only("group", "due_at").first()
    if part is not None and part.due_at is not None:
        raise Incomplete("The text waits for its other parts.")
    message = Message.objects.filter(pk=part.group if part is not None else key, owner=owner).first()
    if message is None:
        raise NoSuchMessage("There is no message with this id.")
    return message


def cancel_own(*, owner: User, told_id: str, now: datetime) -> Message:
    """Cancel a message that no worker has claimed. Raises what `find` raises, and `NotCancelable`."""
    if not owner.has_perm(MAY_CANCEL):
        raise NotCancelable("The user may not change messages.")
    return cancel.cancel(message_id=find(owner=owner, told_id=told_id).pk, actor=owner, now=now)


def _key(told_id: str) -> UUID:
    try:
        return UUID(told_id)
    except ValueError:
        raise NoSuchMessage("There is no message with this id.") from None
