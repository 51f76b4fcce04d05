"""US numbers of ours whose reply to HELP does not say who sends and whom to ask, which carriers there require."""

import phonenumbers
from django.conf import settings

from messaging.keywords import Action
from messaging.models import KeywordRule
from providers.models import ProviderAccount, SenderNumber


def without_brand() -> list[str]:
    """The numbers in question, in order; none if brand and contact are set, or the operator wrote the replies.

    Short codes are left out: the number does not tell their country.
    """
    if settings.MESSAGE_BRAND and settings.MESSAGE_CONTACT:
        return []
    accounts = ProviderAccount.objects.filter(is_enabled=True)
    ours = {
        *SenderNumber.objects.values_list("number", flat=True),
        *(account.from_number or "" for account in accounts),
    }
    found = sorted(filter(_is_us, ours))
    if not found:
        return []
    rules = KeywordRule.objects.filter(action=Action.HELP).values_list("sender_number__number", flat=True)
    own = set(rules)
    return [] if None in own else [number for number in found if number not in own]


def _is_us(number: str) -> bool:
    """Also toll-free ones, which libphonenumber counts as such. Numbers of Canada and the Caribbean also begin with +1.

    No carrier gives personal numbers (+1500) to programs: test credentials and the sandbox have these.
    """
    if not number.startswith("+1"):
        return False
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    is_personal = phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.PERSONAL_NUMBER
    return not is_personal and phonenumbers.region_code_for_number(parsed) == "US"
