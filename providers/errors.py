"""The closed catalogue of what can go wrong when a text is handed to a provider.

A backend raises nothing else out of `send`. Dispatch interprets a fault by its class alone:

| class | was it accepted? | what dispatch does |
| --- | --- | --- |
| `Unavailable`, and `RateLimited`, `CredentialsRefused`, `Misconfigured` | provably not | the next account, else later |
| `NotCalled` | provably not: the account was not called | the same, and it says nothing of the account |
| `Rejected` (and `RecipientInvalid`, `RecipientOptedOut`) | no, and never will be | the message is failed |
| `OutcomeUnknown` | nobody knows | the message is `unknown`, never sent again blindly |
"""

from typing import ClassVar


class SendError(Exception):
    """A call that did not end in an acceptance. `code` is stable, `detail` for people: no secrets and no numbers."""

    code: ClassVar[str] = "send_error"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.error_code = code or self.code


class Unavailable(SendError):
    """Provably not accepted; another account may take it. `retry_after` is the provider's own wish in seconds."""

    code = "provider_unavailable"

    def __init__(self, detail: str, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class RateLimited(Unavailable):
    code = "provider_rate_limited"


class CredentialsRefused(Unavailable):
    """The provider does not know us (any more): an operator has to act."""

    code = "provider_credentials_refused"


class Misconfigured(Unavailable):
    """The account cannot be used as it is configured, for instance a secret's environment variable is not set."""

    code = "provider_misconfigured"


class NotCalled(Unavailable):
    """The call was stopped before a byte of it had left; a backend raises it only for what `providers.send_gate` says."""

    code = "provider_not_called"


class Rejected(SendError):
    """Final: the provider refuses this very message."""

    code = "provider_rejected"


class RecipientInvalid(Rejected):
    """The number does not exist or can never get a text: it becomes inactive."""

    code = "recipient_invalid"


class RecipientOptedOut(Rejected):
    code = "recipient_opted_out"


class OutcomeUnknown(SendError):
    """The text may have been accepted: no answer, or one that cannot be read."""

    code = "outcome_unknown"


class InvalidSignature(Exception):
    """A callback that does not prove that it comes from the provider (403)."""


class MalformedCallback(Exception):
    """A proven callback that cannot be understood (400)."""


class ConfigError(Exception):
    """An account's configuration is not acceptable. One line that names the key, never a secret's value."""


class SharedStateUnavailable(Exception):
    """What all processes share of an account cannot be changed now, because Redis is away."""

    detail = "Circuits and health cannot be changed while Redis is unavailable; try again in a moment."
