"""The errors of sending, a closed catalogue, and those of callbacks and configurations.

`Sender.send` raises nothing but a `SendError`. Dispatch acts on its class alone:

| class | accepted? | dispatch |
| --- | --- | --- |
| `Unavailable`, and `RateLimited`, `CredentialsRefused`, `Misconfigured` | provably not | tries the next account, else later |
| `Refused`, and `AccountRefused`, `OutOfCredit` | no: this text to this recipient | tries the others, else fails the message |
| `MediaRefused` | no: the account was not called | does the same; it says nothing about the account |
| `NotCalled` | provably not: the account was not called | does the same, without counting a fault |
| `Rejected` (and `RecipientInvalid`, `RecipientOptedOut`) | no, for good | fails the message |
| `OutcomeUnknown` (and `NoMessageId`) | unknown | marks the message `unknown`; it is never sent again automatically |
"""

from typing import ClassVar


class SendError(Exception):
    """A call that did not end in an acceptance. `error_code` is stable; `detail` is a text without secrets and numbers."""

    code: ClassVar[str] = "send_error"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.error_code = code or self.code


class Unavailable(SendError):
    """Provably not accepted; another account may carry the message. `retry_after` is in seconds, None if not given."""

    code = "provider_unavailable"

    def __init__(self, detail: str, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class RateLimited(Unavailable):
    code = "provider_rate_limited"


class CredentialsRefused(Unavailable):
    """The provider refuses our credentials; an operator has to act."""

    code = "provider_credentials_refused"


class Refused(Unavailable):
    """The provider refuses this text to this recipient; another account may carry it. It says nothing about the account.

    The account is not asked again for this message, so `retry_after` has no effect.
    """

    code = "provider_refused"


class AccountRefused(Refused):
    """A refusal that may be about this text or about our account, such as 403.

    It counts as a refusal of the text until several recipients in a row got it; then an operator has to act.
    """

    code = "provider_credentials_refused"


class MediaRefused(Refused):
    """A picture or file of the message cannot be made to fit the account's limits. Found before the account is called."""

    code = "media_too_large"


class OutOfCredit(AccountRefused):
    """The same about payment, such as 402."""

    code = "provider_credit"


class Misconfigured(Unavailable):
    """The account cannot be used as it is configured, for example because an environment variable is not set."""

    code = "provider_misconfigured"


class NotCalled(Unavailable):
    """The call was stopped before its first byte. Only `providers.send_gate` raises it; backends pass it on."""

    code = "provider_not_called"


class Rejected(SendError):
    """The provider refuses this message for good."""

    code = "provider_rejected"


class RecipientInvalid(Rejected):
    """The number does not exist or cannot receive messages; it becomes inactive."""

    code = "recipient_invalid"


class RecipientOptedOut(Rejected):
    code = "recipient_opted_out"


class OutcomeUnknown(SendError):
    """The message may have been accepted: there is no response, or one that cannot be read."""

    code = "outcome_unknown"


class NoMessageId(OutcomeUnknown):
    """A response of 2xx without the id that the provider always gives: it may be an acceptance or a refusal."""

    code = "no_message_id"


class InvalidSignature(Exception):
    """A callback that is not authenticated (403)."""


class MalformedCallback(Exception):
    """An authenticated callback that cannot be understood (400)."""


class VerificationUnavailable(Exception):
    """A callback that cannot be verified or confirmed now, because the provider does not respond (503): it repeats it."""


class ConfigError(Exception):
    """An invalid configuration of an account. The message is one line that names the key, without secrets."""


class SharedStateUnavailable(Exception):
    """Circuits and health cannot be changed, because Redis is unavailable (503)."""

    detail = "Circuits and health cannot be changed while Redis is unavailable; try again in a moment."
