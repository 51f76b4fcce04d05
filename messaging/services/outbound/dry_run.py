"""What would become of a message: every check, the route and the price. Stores nothing, and reserves nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from django.contrib.auth.models import User
from django.db import transaction

from messaging import segments
from messaging.categories import Category
from messaging.keywords import Action
from messaging.models import KeywordRule, Message, OutboundQueue
from messaging.policy import smart_encoding, zones
from messaging.policy.opt_out_line import NO_OPT_OUT_LINE, lacks_opt_out
from messaging.segments import SegmentCount
from messaging.services.costs import budgets, prices
from messaging.services.errors import BudgetExceeded
from messaging.services.outbound import sender_rules
from messaging.services.outbound.attachments import MediaChecks
from messaging.services.outbound.dispatch.attempts import NO_ROUTE
from messaging.services.outbound.dispatch.router import RouteOption, Router
from messaging.services.outbound.eligibility import SENDER_NOT_ALLOWED, Batch, Check, Ending, Moment, Refusal
from messaging.services.outbound.submit import MessageInput, build_one
from providers.models import ProviderAccount
from providers.numbers import COUNTRIES

OPT_OUT_MISSING = "A marketing text has to say how to get no more of them, such as: Reply STOP to opt out."


class CheckVerdict(StrEnum):
    """Of one check or of all: `held` means that the message waits until a moment, and is sent then."""

    PASSED = "passed"
    HELD = "held"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`until` is of a check that the message did not pass. `detail` says why, or what was changed so that it does."""

    code: str
    verdict: CheckVerdict
    detail: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DryRunWarning:
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """`message` is not stored; `country` is empty for a number of none. `options` are all accounts, and `provider` is the one
    that most such messages go to, or empty.

    `warnings` do not keep the message from being sent.
    `smart_segments` is how many it takes, or would take, with smart encoding.
    `time_zones` are the recipient's, as its number tells them; none if it does not.
    `price` is of all segments, in `currency`, which is empty if the account names none; None if it has none for the number.
    """

    message: Message = field(repr=False)
    country: str
    time_zones: Sequence[str]
    size: SegmentCount
    smart_segments: int
    checks: Sequence[CheckResult]
    options: Sequence[RouteOption]
    provider: str
    price: Decimal | None
    currency: str
    warnings: Sequence["DryRunWarning"] = ()

    @property
    def verdict(self) -> CheckVerdict:
        found = {check.verdict for check in self.checks}
        return next(each for each in (CheckVerdict.REFUSED, CheckVerdict.HELD, CheckVerdict.PASSED) if each in found)


def dry_run(*, owner: User, draft: MessageInput, default_queue: str, now: datetime) -> DryRun:
    """Check a message as if it were accepted, claimed and called now. Raises what `submit` raises for a field that is wrong."""
    message = build_one(owner=owner, draft=draft, default_queue=default_queue, now=now)
    _check_media(message, draft, owner)
    message.queue = OutboundQueue.objects.get(pk=message.queue_id)
    batch = Batch([message], now=now)
    batch.replace_senders()
    verdicts = batch.verdicts(message, Moment.ACCEPT, Moment.CLAIM, Moment.CALL)
    options = Router(now=now).options(message)
    place = zones.location_of(message.to_number)
    provider = max(options, key=lambda option: option.share, default=RouteOption(""))
    slug = provider.slug if provider.share else ""
    price, currency = _price(slug, message)
    return DryRun(
        message=message,
        country=place.country if place.country in COUNTRIES else "",
        time_zones=place.zones,
        size=segments.measure(message.text),
        smart_segments=segments.measure(smart_encoding.smart_encoded(message.text)).segments,
        checks=[
            *(_result(check, refusal, message) for check, refusal in verdicts),
            _budget_result(message, now),
            _route_result(options),
        ],
        options=options,
        provider=slug,
        price=price,
        currency=currency,
        warnings=_warnings(message),
    )


def _warnings(message: Message) -> list[DryRunWarning]:
    """No query for a message that is no marketing."""
    if message.category != Category.MARKETING:
        return []
    rules = KeywordRule.objects.filter(action__in=[Action.STOP, Action.STOP_ALL])
    own_words = [word for rule in rules for word in rule.words.splitlines()]
    if not lacks_opt_out(message.text, category=message.category, own_words=own_words):
        return []
    return [DryRunWarning(NO_OPT_OUT_LINE, OPT_OUT_MISSING)]


def _check_media(message: Message, draft: MessageInput, owner: User) -> None:
    with transaction.atomic():
        error = MediaChecks(owner, [draft.media]).error(
            draft.media, number=message.to_number, sender=message.from_number
        )
    if error is not None:
        raise error


def _result(check: Check, refusal: Refusal | None, message: Message) -> CheckResult:
    if refusal is None:
        detail = sender_rules.announced(message) if check is SENDER_NOT_ALLOWED else ""
        return CheckResult(check.code, CheckVerdict.PASSED, detail)
    verdict = CheckVerdict.HELD if check.ends is Ending.DEFER else CheckVerdict.REFUSED
    return CheckResult(check.code, verdict, refusal.detail, refusal.until)


def _budget_result(message: Message, now: datetime) -> CheckResult:
    refusal = budgets.refusal(message, now=now)
    if refusal is None:
        return CheckResult(BudgetExceeded.code, CheckVerdict.PASSED)
    return CheckResult(BudgetExceeded.code, CheckVerdict.REFUSED, refusal.detail)


def _route_result(options: Sequence[RouteOption]) -> CheckResult:
    if any(option.share for option in options):
        return CheckResult("no_route", CheckVerdict.PASSED)
    if not options or any(option.is_temporary for option in options):
        return CheckResult("no_route", CheckVerdict.HELD, "It waits until a provider account can take it.")
    return CheckResult("no_route", CheckVerdict.REFUSED, NO_ROUTE.error_detail)


def _price(slug: str, message: Message) -> tuple[Decimal | None, str]:
    """Of all segments, and its currency."""
    account = ProviderAccount.objects.filter(pk=slug).first()
    return prices.of_message(account, message) if account is not None else (None, "")
