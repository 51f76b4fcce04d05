"""The carrier's own price: it replaces the configured one of the attempt, in the totals and in the budgets, once."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from messaging.models import AttemptPart, DeliveryAttempt, Message
from messaging.services.costs import budgets, cost_totals

PROVIDER = DeliveryAttempt.PriceSource.PROVIDER


def correct(attempt_id: UUID, message: Message, *, price: Decimal, currency: str, now: datetime) -> None:
    """Take the price of a receipt. The caller has locked the message, in the transaction that saves the receipt.

    What changes is the difference to the price that the attempt has, so a price that comes again changes nothing, and of
    several prices the one that came last counts. Call it before the message's transition: it locks the slots of all the
    message's budgets, in the order in which all transactions do. A price of one part of several is not taken.
    """
    attempt = DeliveryAttempt.objects.get(pk=attempt_id)  # as it is now: prices change under the message's lock
    before, after = (attempt.price, attempt.currency), (price, currency)
    if before == after and attempt.price_source == PROVIDER:
        return
    if AttemptPart.objects.filter(attempt=attempt_id).exclude(provider_message_id="").exists():
        return
    DeliveryAttempt.objects.filter(pk=attempt_id).update(price=price, currency=currency, price_source=PROVIDER)
    if before == after:
        return
    cost_totals.correct(attempt, message, before=before, after=after, now=now)
    budgets.correct(message.pk, before=before, after=after, now=now)
