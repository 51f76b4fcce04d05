"""The accounts that a message was tried at since it was claimed, as one value."""

from dataclasses import dataclass, replace
from uuid import UUID

from providers.errors import AccountRefused, NotCalled, RateLimited, Refused, SendError, Unavailable


def is_refusal(error: SendError | None, *, is_probe: bool) -> bool:
    """The account refuses the message, and is not asked again for it.

    The refusal of a probe may be the very fault for which the circuit is open. It must not fail the message that happened to
    be the probe, while the others wait.
    """
    return isinstance(error, Refused) and not (is_probe and isinstance(error, AccountRefused))


@dataclass(frozen=True, slots=True)
class Round:
    """One claim of a message and its attempts, account after account, until one accepts the message or none is left.

    `tried`: slugs of the accounts, including that of the current attempt and those that refused the message in an earlier
    round. `only_refused`: each of them refuses the message, so there is nothing to retry. The other fields leave refusals out.
    `retry_after`: the earliest retry that accounts asked for, in seconds; None as soon as one of them asked for none.
    `only_rate_limited`: they only rate-limited us or were not called at all, so the round does not count as failed.
    """

    claim_id: UUID
    tried: frozenset[str] = frozenset()
    retry_after: float | None = None
    only_rate_limited: bool = True
    only_refused: bool = True

    def with_attempt(self, slug: str) -> "Round":
        """The round when this account is called."""
        return replace(self, tried=self.tried | {slug})

    def after(self, error: Unavailable, *, is_probe: bool = False) -> "Round":
        """The round when the account called last has not taken the message."""
        if is_refusal(error, is_probe=is_probe):
            return self
        retry_after = error.retry_after or None  # 0 asks for nothing: the usual delay applies
        if not self.only_refused and retry_after is not None:
            retry_after = None if self.retry_after is None else min(retry_after, self.retry_after)
        only_rate_limited = self.only_rate_limited and isinstance(error, (NotCalled, RateLimited))
        return replace(self, retry_after=retry_after, only_rate_limited=only_rate_limited, only_refused=False)
