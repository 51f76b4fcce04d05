"""The one answer that a keyword gets."""

import logging
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from messaging.e164 import InvalidNumber, normalise
from messaging.models import Message, PhoneNumber
from messaging.services.errors import DomainError
from messaging.services.outbound.submit import MessageInput, submit
from messaging.states import Source
from providers.models import ProviderAccount, SenderNumber

logger = logging.getLogger(__name__)

ONCE_IN = timedelta(hours=1)
VALID_FOR = 3600
SERVICE_USER = "switchboard"


def answer(message: Message, text: str, *, default_queue: str, now: datetime) -> Message | None:
    """Answer an incoming text from the number it was sent to; None where nothing may be answered.

    The caller holds the row of the person's number.
    Nobody gets more than one automatic reply in an hour: two machines that answer each other would never stop.
    """
    if not text or message.error_code or message.is_automatic or not _is_ours(message) or not _is_a_person(message):
        return None
    person = PhoneNumber.objects.filter(pk=message.from_number)
    last = person.values_list("auto_replied_at", flat=True).get()
    if last is not None and last > now - ONCE_IN:
        return None
    person.update(auto_replied_at=now)
    draft = MessageInput(
        to=message.from_number, text=text, valid_for=VALID_FOR, sender=message.to_number, is_automatic=True
    )
    try:
        return submit(
            owner=message.owner or _service_user(),
            draft=draft,
            default_queue=default_queue,
            now=now,
            source=Source.INBOUND,
        )
    except DomainError as error:
        person.update(auto_replied_at=last)  # nothing was answered
        logger.warning("the automatic reply to message %s is refused: %s", message.pk, error.code)
        return None


def _is_ours(message: Message) -> bool:
    """Only from a number that we send from: an account's own, or one of the sender numbers."""
    if SenderNumber.objects.filter(number=message.to_number).exists():
        return True
    return any(account.from_number == message.to_number for account in ProviderAccount.objects.all())


def _is_a_person(message: Message) -> bool:
    """Not a short code or a name, and none of our own numbers."""
    try:
        is_number = normalise(message.from_number) == message.from_number
    except InvalidNumber:
        return False
    return is_number and not SenderNumber.objects.filter(number=message.from_number).exists()


def _service_user() -> User:
    """Owns the replies to texts that nobody owns. It cannot log in."""
    user, created = get_user_model().objects.get_or_create(username=SERVICE_USER, defaults={"is_active": False})
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user
