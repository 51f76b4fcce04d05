"""What all receipts of a text say together, in whatever order they come."""

from collections.abc import Iterable

from messaging.models import AttemptPart, DeliveryAttempt, Message, MessageEvent, ProviderCallback
from messaging.provider_ids import likeness
from messaging.states import FINAL, Source, Status
from providers.contract.callbacks import ReportedStatus

R = ReportedStatus

TARGETS: dict[ReportedStatus, Status] = {
    R.SENT: Status.SENT,
    R.DELIVERED: Status.DELIVERED,
    R.UNDELIVERED: Status.UNDELIVERED,
    R.FAILED: Status.FAILED,
    R.CANCELED: Status.CANCELED,
    R.INVALID: Status.UNDELIVERED,
    R.OPTED_OUT: Status.UNDELIVERED,
}
ERROR_CODES: dict[ReportedStatus, str] = {
    R.UNDELIVERED: "undelivered",
    R.FAILED: "failed_by_provider",
    R.CANCELED: "canceled_by_provider",
    R.INVALID: "recipient_invalid",
    R.OPTED_OUT: "recipient_opted_out",
}
# The error code of a `sent` message whose receipt did not come in time. A receipt that comes after all removes it.
RECEIPT_MISSING = "receipt_missing"
FAILURES = (R.CANCELED, R.FAILED, R.UNDELIVERED, R.OPTED_OUT, R.INVALID)
# The later one holds. A text of one part that was delivered was delivered, whatever else is said about it; a text of several
# parts is of no use without one of them.
ORDER_OF_ONE = (R.SENT, *FAILURES, R.DELIVERED)
ORDER_OF_PARTS = (R.SENT, R.DELIVERED, *FAILURES)


def combine(reports: Iterable[ReportedStatus], *, has_parts: bool) -> ReportedStatus:
    order = ORDER_OF_PARTS if has_parts else ORDER_OF_ONE
    return max(reports, key=order.index)


def of_parts(attempt: DeliveryAttempt, given: str, reported: ReportedStatus) -> ReportedStatus | None:
    """Save a report about the part with the id `given`; return what the parts say together.

    None where the parts have no ids of their own. A report that names none of the parts is about all of them.
    """
    parts = list(AttemptPart.objects.filter(attempt=attempt))
    if not parts:
        return None
    named = next((each for each in parts if each.provider_message_id == given), None) or next(
        (each for each in parts if each.provider_message_id and likeness(each.provider_message_id, given) is not None),
        None,
    )
    part = named or next((each for each in parts if not each.provider_message_id), None)
    if part is None:
        part = AttemptPart(attempt=attempt, provider_id=attempt.provider_id)
        parts.append(part)
    known = [R(part.reported)] if part.reported else []
    part.reported = combine([*known, reported], has_parts=True)
    part.save()
    return _together(parts)


def _together(parts: Iterable[AttemptPart]) -> ReportedStatus:
    reports = {part.provider_message_id: R(part.reported or R.SENT) for part in parts}
    of_all = reports.pop("", R.SENT)
    failures = [report for report in (*reports.values(), of_all) if report in FAILURES]
    if failures:
        return combine(failures, has_parts=True)
    are_delivered = of_all is R.DELIVERED or all(report is R.DELIVERED for report in reports.values())
    return R.DELIVERED if are_delivered else R.SENT


def reported_so_far(message: Message) -> ReportedStatus | None:
    """The report that has set the final status of a message; None if no receipt has set it."""
    if message.status not in FINAL:
        return None
    last = MessageEvent.objects.filter(message=message).order_by("-pk").values_list("source", flat=True).first()
    if last != Source.RECEIPT:
        return None
    for reported, target in TARGETS.items():
        if target == message.status and ERROR_CODES.get(reported, "") == message.error_code:
            return reported
    return None


def is_about(attempt: DeliveryAttempt, message: Message) -> bool:
    """Return True if a receipt of this attempt has set the status that the message has."""
    reports = [reported for reported, target in TARGETS.items() if target == message.status]
    applied = ProviderCallback.objects.filter(
        message=message, attempt=attempt, state=ProviderCallback.State.APPLIED, reported__in=reports
    )
    return applied.exists()
