"""Which rows a user may see."""

from django.contrib.auth.models import User
from django.db.models import QuerySet

from messaging.models import Message


def messages_of(user: User) -> QuerySet[Message]:
    """The user's own, newest first; staff with the permission see all."""
    messages = Message.objects.order_by("-pk")
    return messages if user.is_staff and user.has_perm("messaging.view_message") else messages.filter(owner=user)
