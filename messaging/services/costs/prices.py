"""What a message costs by the configured prices of an account."""

from decimal import Decimal

from messaging.models import Message
from providers import routing
from providers.contract.prices import CarrierPrice
from providers.models import ProviderAccount

PLACES = Decimal("0.000001")


def of_message(account: ProviderAccount, message: Message) -> tuple[Decimal | None, str]:
    """The price of all segments, to a millionth, and its currency; None without a price for the number.

    The currency is empty if the account names none.
    """
    candidate = account.as_candidate()
    per_segment = routing.price(candidate, message.to_number)
    if per_segment is None:
        return None, ""
    return (per_segment * message.segments).quantize(PLACES), candidate.currency


def currency_of(price: CarrierPrice, account: ProviderAccount) -> str:
    """The currency of a carrier's own price; empty if neither the carrier nor the account names one."""
    return price.currency or account.as_candidate().currency
