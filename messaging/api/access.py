"""The user of a request, and which messages that user may see."""

from django.contrib.auth.models import User
from django.db.models import QuerySet
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from messaging.models import Message
from messaging.services.access import owned_by


def user_of(request: Request) -> User:
    """Return the authenticated user. Raises `NotAuthenticated` in a view whose permissions let anonymous requests through."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def messages_of(user: User) -> QuerySet[Message]:
    """Return the messages that the user may see, newest first."""
    return Message.objects.filter(owned_by(user, "messaging.view_message")).order_by("-pk")
