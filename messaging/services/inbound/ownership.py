"""Which of our numbers and users an inbound text is for.

A text that names no readable number of ours belongs to the account that brought it.
"""

from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db.models import Q

from messaging.models import Message
from messaging.services.inbound.incoming import is_unreadable
from messaging.services.recipients.suppressions import EVERY_SENDER
from messaging.states import Direction
from providers.models import ProviderAccount, SenderNumber

REPLY_WINDOW = timedelta(days=30)


def owner_of(*, recipient: str, sender: str, account: ProviderAccount, now: datetime) -> User | None:
    """The owner of our number, else the owner of the last message sent from it, or through the account, to this sender."""
    if not names_a_number(recipient):
        return _last_owner(Q(provider=account), sender, now)
    number = SenderNumber.objects.filter(number=recipient).select_related("owner").first()
    if number is not None and number.owner is not None:
        return number.owner
    return _last_owner(Q(from_number__in=[recipient, ""]), sender, now)  # empty: the provider chose the number


def _last_owner(sent_by: Q, recipient: str, now: datetime) -> User | None:
    last = Message.objects.filter(
        sent_by,
        direction=Direction.OUTBOUND,
        to_number=recipient,
        created_at__gte=now - REPLY_WINDOW,
        is_automatic=False,
    ).order_by("-pk")
    message = last.select_related("owner").first()
    return message.owner if message is not None else None


def our_number(message: Message) -> str:
    """The number of ours that received an inbound text: as it says, else its account's own; empty without one."""
    if message.provider is None or names_a_number(message.to_number):
        return message.to_number
    return message.provider.from_number or ""


def senders_of(message: Message) -> set[str]:
    """The senders that a STOP in this text ends: the number that received it.

    If the text does not name it, all from which the account sends to the person; every sender if one of them is not known. If
    it names a number that we do not know, such as one of a carrier's pool, that one and all of the account.
    """
    account, recipient = message.provider, message.to_number
    is_named = names_a_number(recipient)
    if account is None or (is_named and _is_known(recipient)):
        return {recipient}
    sent = Message.objects.filter(direction=Direction.OUTBOUND, provider=account, to_number=message.from_number)
    bound = SenderNumber.objects.filter(account=account).values_list("number", flat=True)
    used = sent.order_by().values_list("from_number", flat=True).distinct()
    known = {*used, *map(str, bound)}
    if is_named:  # messages without a sender are ended by an opt-out from any number that we do not know
        own = set() if recipient in known else {*known, account.from_number or ""}
        return (own | {recipient}) - {EVERY_SENDER}
    if account.from_number:
        known = (known | {account.from_number}) - {EVERY_SENDER}
    if not known or EVERY_SENDER in known:  # the provider chose the number
        return {EVERY_SENDER}
    return (known | {message.to_number}) - {""}


def _is_known(recipient: str) -> bool:
    """Whether it is a sender number, or an account's own."""
    if SenderNumber.objects.filter(number=recipient).exists():
        return True
    return any(account.from_number == recipient for account in ProviderAccount.objects.all())


def names_a_number(recipient: str) -> bool:
    """Whether it is a number, a short code or a name. One that is a sender of ours is, however unusual it looks."""
    return bool(recipient) and (not is_unreadable(recipient) or SenderNumber.objects.filter(number=recipient).exists())
