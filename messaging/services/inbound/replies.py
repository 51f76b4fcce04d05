"""Automatic replies to keywords."""

import logging
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from messaging.e164 import InvalidNumber, normalise
from messaging.models import Message, PhoneNumber
from messaging.services.errors import DomainError
from messaging.services.inbound import ownership
from messaging.services.inbound.marks import WITHOUT_REPLY
from messaging.services.outbound.submit import MessageInput, submit
from messaging.states import Source
from providers.models import ProviderAccount, SenderNumber

logger = logging.getLogger(__name__)

MIN_INTERVAL = timedelta(hours=1)
VALID_FOR = 3600
SERVICE_USER = "switchboard"


def send_reply(message: Message, text: str, *, default_queue: str, now: datetime) -> Message | None:
    """Submit the reply, sent from the number that received the text; None if the text must not get one.

    A number gets at most one automatic reply per `MIN_INTERVAL`: two machines that reply to each other would never stop. The
    caller has locked the sender's number.
    """
    sender = ownership.our_number(message)
    if (
        not text
        or message.error_code in WITHOUT_REPLY
        or message.is_automatic
        or not _is_ours(sender)
        or not _is_external_number(message)
    ):
        return None
    recipient = PhoneNumber.objects.filter(pk=message.from_number)
    last = recipient.values_list("auto_replied_at", flat=True).get()
    if last is not None and last > now - MIN_INTERVAL:
        return None
    recipient.update(auto_replied_at=now)
    draft = MessageInput(to=message.from_number, text=text, valid_for=VALID_FOR, sender=sender, is_automatic=True)
    try:
        return submit(
            owner=message.owner or _service_user(),
            draft=draft,
            default_queue=default_queue,
            now=now,
            source=Source.INBOUND,
        )
    except DomainError as error:
        recipient.update(auto_replied_at=last)  # no reply was sent
        logger.warning("the automatic reply to message %s was refused: %s", message.pk, error.code)
        return None


def _is_ours(sender: str) -> bool:
    """Whether we send from the number that received the text: an account's own, or a sender number."""
    if SenderNumber.objects.filter(number=sender).exists():
        return True
    return any(account.from_number == sender for account in ProviderAccount.objects.all())


def _is_external_number(message: Message) -> bool:
    """False for a short code, an alphanumeric sender, or one of our own numbers."""
    try:
        is_number = normalise(message.from_number) == message.from_number
    except InvalidNumber:
        return False
    return is_number and not SenderNumber.objects.filter(number=message.from_number).exists()


def _service_user() -> User:
    """The owner of replies to texts without an owner. It cannot log in."""
    user, created = get_user_model().objects.get_or_create(username=SERVICE_USER, defaults={"is_active": False})
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user
