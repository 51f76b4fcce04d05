"""Whom a request's alerts are for, as its query says."""

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from messaging.api.access import user_of
from messaging.services.alerts import receivers
from messaging.services.alerts.notices import MAX_RECIPIENTS, AlertTarget
from messaging.services.errors import InvalidField

TO = OpenApiParameter(
    "to",
    {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_RECIPIENTS},
    description="A recipient in international notation. May be repeated. Write the plus as `%2B`.",
)
RECEIVER = OpenApiParameter(
    "receiver", {"type": "string"}, description="The name of one of your alert receivers, instead of `to`."
)
SENDS_RESOLVED = OpenApiParameter(
    "resolved",
    {"type": "string", "enum": ["true", "false"]},
    description="Whether to report alerts that have ended. Default: as the receiver says, or `false`.",
)


def target_of(request: Request) -> AlertTarget:
    """Raises `InvalidField`."""
    numbers, names = request.query_params.getlist("to"), request.query_params.getlist("receiver")
    if bool(numbers) == bool(names) or len(names) > 1:
        raise InvalidField("to", "required", "Name recipients with `to`, or one alert receiver with `receiver`.")
    if names:
        return AlertTarget.of(receivers.named(names[0], owner=user_of(request)))
    return AlertTarget(user_of(request), read_numbers(numbers))


def read_numbers(numbers: list[str]) -> tuple[str, ...]:
    """In a query, a plus that is not escaped means a blank; no number begins with one otherwise. Raises `InvalidField`."""
    return receivers.read_recipients(
        (f"+{each[1:]}" if each.startswith(" ") and each[1:2].isdigit() else each for each in numbers), field="to"
    )


def sends_resolved(request: Request, target: AlertTarget) -> bool:
    """Raises `InvalidField`."""
    given = request.query_params.get("resolved")
    if given not in {None, "true", "false"}:
        raise InvalidField("resolved", "invalid", "`resolved` is `true` or `false`.")
    if given is None:
        return target.receiver is not None and target.receiver.sends_resolved
    return given == "true"
