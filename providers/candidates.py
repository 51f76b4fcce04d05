"""An account's row in the words of routing and of the limits."""

from providers.models import ProviderAccount
from providers.routing import Candidate


def candidate_of(account: ProviderAccount, health: float = 1.0) -> Candidate:
    return Candidate(
        slug=account.slug,
        weight=account.weight,
        allowed_prefixes=tuple(account.config.get("allowed_prefixes") or ()),
        denied_prefixes=tuple(account.config.get("denied_prefixes") or ()),
        health=health,
        prices=account.config.get("price_per_segment") or {},
    )


def per_second_of(account: ProviderAccount) -> float | None:
    """Segments, or None without a limit."""
    return account.config.get("max_per_second")
