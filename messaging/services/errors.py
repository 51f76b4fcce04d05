"""What a use case can refuse. These know nothing of HTTP; `config.problems` has the one table that maps them."""

from typing import ClassVar


class DomainError(Exception):
    """`code` is stable and for programs, the text is for people."""

    code: ClassVar[str] = "refused"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidField(DomainError):
    """One field of the request makes no sense here."""

    def __init__(self, field: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.field_code = code


class RecipientInactive(DomainError):
    code = "recipient_inactive"


class OptedOut(DomainError):
    code = "recipient_opted_out"


class SenderRateLimited(DomainError):
    """`retry_after` is in whole seconds, from when the next message of this sender will be taken."""

    code = "sender_rate_limited"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


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


class EndpointDisabled(DomainError):
    code = "endpoint_disabled"


class NotRedeliverable(DomainError):
    code = "not_redeliverable"


class IdempotencyKeyReused(DomainError):
    code = "idempotency_key_reused"


class IllegalTransition(DomainError):
    """A move that the table of states does not have: a fault in the program, never in a request."""

    code = "illegal_transition"
