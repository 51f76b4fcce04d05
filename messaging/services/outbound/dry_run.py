"""What would become of a message: every check, the route and the price. Stores nothing, and reserves nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from django.contrib.auth.models import User
from django.db import transaction

from messaging import segments
from messaging.models import Message, OutboundQueue
from messaging.policy import smart_encoding, zones
from messaging.segments import SegmentCount
from messaging.services.outbound.attachments import MediaChecks
from messaging.services.outbound.dispatch.attempts import NO_ROUTE
from messaging.services.outbound.dispatch.router import RouteOption, Router
from messaging.services.outbound.eligibility import Batch, Check, Ending, Moment, Refusal
from messaging.services.outbound.submit import MessageInput, build_one
from providers import routing
from providers.models import ProviderAccount
from providers.numbers import COUNTRIES


class CheckVerdict(StrEnum):
    """Of one check or of all: `held` means that the message waits until a moment, and is sent then."""

    PASSED = "passed"
    HELD = "held"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`detail` and `until` are of a check that the message did not pass."""

    code: str
    verdict: CheckVerdict
    detail: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DryRun:
    """`message` is not stored; `country` is empty for a number of none. `options` are all accounts, and `provider` is the one
    that most such messages go to, or empty.

    `smart_segments` is how many it takes, or would take, with smart encoding.
    `time_zones` are the recipient's, as its number tells them; none if it does not.
    `price` is of all segments, in the currency of the account's prices; None if the account has none for the number.
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
    verdicts = batch.verdicts(message, Moment.ACCEPT, Moment.CLAIM, Moment.CALL)
    options = Router(now=now).options(message)
    place = zones.location_of(message.to_number)
    provider = max(options, key=lambda option: option.share, default=RouteOption(""))
    slug = provider.slug if provider.share else ""
    return DryRun(
        message=message,
        country=place.country if place.country in COUNTRIES else "",
        time_zones=place.zones,
        size=segments.measure(message.text),
        smart_segments=segments.measure(smart_encoding.smart_encoded(message.text)).segments,
        checks=[*(_result(check, refusal) for check, refusal in verdicts), _route_result(options)],
        options=options,
        provider=slug,
        price=_price(slug, message),
    )


def _check_media(message: Message, draft: MessageInput, owner: User) -> None:
    with transaction.atomic():
        error = MediaChecks(owner, [draft.media]).error(
            draft.media, number=message.to_number, sender=message.from_number
        )
    if error is not None:
        raise error


def _result(check: Check, refusal: Refusal | None) -> CheckResult:
    if refusal is None:
        return CheckResult(check.code, CheckVerdict.PASSED)
    verdict = CheckVerdict.HELD if check.ends is Ending.DEFER else CheckVerdict.REFUSED
    return CheckResult(check.code, verdict, refusal.detail, refusal.until)


def _route_result(options: Sequence[RouteOption]) -> CheckResult:
    if any(option.share for option in options):
        return CheckResult("no_route", CheckVerdict.PASSED)
    if not options or any(option.is_temporary for option in options):
        return CheckResult("no_route", CheckVerdict.HELD, "It waits until a provider account can take it.")
    return CheckResult("no_route", CheckVerdict.REFUSED, NO_ROUTE.error_detail)


def _price(slug: str, message: Message) -> Decimal | None:
    account = ProviderAccount.objects.filter(pk=slug).first()
    if account is None:
        return None
    per_segment = routing.price(account.as_candidate(), message.to_number)
    return Decimal(str(per_segment)) * message.segments if per_segment != float("inf") else None
