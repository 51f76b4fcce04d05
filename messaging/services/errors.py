"""Domain errors, independent of HTTP. The table in `config.problems` maps them to responses."""

from collections.abc import Sequence
from typing import ClassVar

from messaging.policy.template_content import Problem


class DomainError(Exception):
    """`code` is stable, for programs; `detail` is for users."""

    code: ClassVar[str] = "refused"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidField(DomainError):
    """One field of the request is invalid."""

    def __init__(self, field: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.field_code = code


class RecipientInactive(DomainError):
    code = "recipient_inactive"


class OptedOut(DomainError):
    code = "recipient_opted_out"


class SenderNotAllowedInCountry(DomainError):
    code = "sender_not_allowed_in_country"


class EmergencyNotAllowed(DomainError):
    code = "emergency_not_allowed"


class CaseDecided(DomainError):
    code = "case_already_decided"


class SenderRateLimited(DomainError):
    """`retry_after` is in whole seconds: then this sender's next message is within the limit."""

    code = "sender_rate_limited"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class PrefixBlocked(DomainError):
    code = "prefix_blocked"


class RateExceeded(DomainError):
    """`retry_after` is in whole seconds: then there is room for the message again, unless others take it."""

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class BudgetExceeded(RateExceeded):
    """The budget's next period begins after `retry_after`."""

    code = "budget_exceeded"


class RecipientRateExceeded(RateExceeded):
    code = "recipient_rate_exceeded"


class VelocityExceeded(RateExceeded):
    code = "velocity_exceeded"


class VerificationRefused(DomainError):
    """A code must not be sent now. `retry_after` is in whole seconds."""

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ResendTooSoon(VerificationRefused):
    code = "resend_too_soon"


class TooManySends(VerificationRefused):
    code = "too_many_sends"


class VerificationRateLimited(VerificationRefused):
    code = "verification_rate_limited"


class VerificationEnded(DomainError):
    code = "verification_ended"


class NotAttachable(DomainError):
    code = "not_attachable"


class NotErasable(DomainError):
    code = "not_erasable"


class NotCancelable(DomainError):
    code = "not_cancelable"


class NotRetryable(DomainError):
    code = "not_retryable"


class NotResolvable(DomainError):
    code = "not_resolvable"


class TooManyEndpoints(DomainError):
    code = "too_many_endpoints"


class NoSecret(DomainError):
    """A secret of ours was asked for where another credential signs."""

    code = "no_secret"


class EndpointDisabled(DomainError):
    code = "endpoint_disabled"


class NotRedeliverable(DomainError):
    code = "not_redeliverable"


class InvalidTemplateContent(DomainError):
    """A version that must not be saved. `problems` are of its fields, at least one."""

    code = "invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems[0].detail)
        self.problems = problems


class TemplateChanged(DomainError):
    code = "template_changed"


class TemplateNameTaken(DomainError):
    code = "name_taken"


class IdempotencyKeyReused(DomainError):
    code = "idempotency_key_reused"


class IllegalTransition(DomainError):
    """A transition that the table in `states` does not have: a bug, never an error of the request."""

    code = "illegal_transition"
