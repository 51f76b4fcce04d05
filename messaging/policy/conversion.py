"""Conversion: how many of the verifications that were started were approved, and what this says about an account.

Of codes to the same prefix about the same share is approved whichever account carries them. Where the share of one account is
certainly lower than that of another one, its codes do not arrive, even if its carrier reports them as delivered. Both ends
are of Wilson's interval, as in `pumping`: with z = 3 one comparison in a million is wrong by chance, which leaves room for
hundreds of prefixes that are compared every minute.
"""

from collections.abc import Mapping

from messaging.policy import pumping
from messaging.policy.pumping import Share

# An account with fewer verifications to a prefix is not judged, and the others are not judged by it.
MIN_STARTED = 50
CERTAIN = 3.0
# The interval that people are shown: 95 %.
SHOWN_CERTAIN = 1.96
# An account that is half as good gets a quarter of its weight, and none gets less than a twentieth: it has to be seen when it
# is better again.
STEEPNESS, FLOOR = 2, 0.05


def factors(shares: Mapping[str, Share]) -> dict[str, float]:
    """By what the weights of accounts are scaled, from `FLOOR` to below 1, of those that are certainly worse than another one.

    `shares` are of one prefix, by account. The factor is 1 where the intervals begin to overlap, and is not in the result then.
    """
    known = {slug: share for slug, share in shares.items() if share.started >= MIN_STARTED}
    best = max((share.lower(CERTAIN) for share in known.values()), default=0.0)
    return {
        slug: max(FLOOR, (upper / best) ** STEEPNESS)
        for slug, share in known.items()
        if (upper := share.upper(CERTAIN)) < best
    }


def has_collapsed(now: Share, usual: Share) -> bool:
    """Whether the share is certainly below half of the usual one, and both are of enough verifications to tell."""
    return usual.started >= pumping.MIN_USUAL and pumping.are_few_confirmed(pumping.Figures(now=now, usual=usual))


def missing(share: Share, usual: Share) -> float:
    """How many more would have been approved at the usual share; below 0 if it was better."""
    return share.started * _ratio(usual) - share.confirmed


def percentage(share: Share) -> str:
    """Such as `74 %`, rounded; empty without verifications."""
    return f"{_ratio(share):.0%}".replace("%", " %") if share.started else ""


def interval_in_words(share: Share) -> str:
    """The interval in which the true share is with a certainty of 95 %."""
    if not share.started:
        return "no verifications"
    lower, upper = round(share.lower(SHOWN_CERTAIN) * 100), round(share.upper(SHOWN_CERTAIN) * 100)
    return f"about {lower} %" if lower == upper else f"between {lower} and {upper} %"


def _ratio(share: Share) -> float:
    return share.confirmed / share.started if share.started else 0.0
