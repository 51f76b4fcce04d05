"""SMS pumping: fraud that asks for many codes to numbers of one prefix, whose carrier shares its income with the caller.

Two signs, each judged only with enough figures to tell. A new installation has none to compare with, and is quiet.

1. Few codes are confirmed. Of the window's `started` verifications the share that may truly be approved is at most the upper
   end of its Wilson interval, and the usual share is at least the lower end of its own. An alert needs the first to be below
   half of the second. Wilson's interval is right for small numbers and for shares near 0, where the usual formula is not;
   with z = 4 one prefix in 30,000 is judged wrongly by chance, because hundreds are judged every few minutes.
2. Many more codes than usual go to the prefix: more than three times the busiest hour of two weeks, and a tenth of all codes of
   that owner's busiest hour, so that the first codes to a new country are no alert for a large owner. Confirmed codes speak
   against it: where verifications show the usual share, volume alone is a success and no fraud.
"""

from dataclasses import dataclass
from math import sqrt

from messaging.policy.prefixes import calling_code

# Digits of a prefix behind the calling code: with three, a prefix is a carrier's block in most countries.
DIGITS, LONGEST = 3, 8
MIN_STARTED, MIN_CODES = 30, 50
# From so many verifications the usual share is known: of the prefix itself, else of all prefixes together.
MIN_USUAL, MIN_USUAL_OF_ALL = 100, 500
MIN_DAYS = 3
CERTAIN, USUAL_CERTAIN = 4.0, 3.0
WORSE = 0.5
TIMES_BUSIEST, SHARE_OF_ALL = 3, 0.1


@dataclass(frozen=True, slots=True)
class Share:
    """`approved` of `started`. A code that is confirmed late may be counted in a later window than it was started in."""

    started: int = 0
    approved: int = 0

    @property
    def confirmed(self) -> int:
        """`approved`, but no more than were started."""
        return min(self.approved, self.started)

    def upper(self, z: float) -> float:
        return _wilson(self.confirmed, self.started, z)

    def lower(self, z: float) -> float:
        return 1.0 - _wilson(self.started - self.confirmed, self.started, z)


def _wilson(successes: int, n: int, z: float) -> float:
    """The upper end of Wilson's interval; 1.0 without trials."""
    if n == 0:
        return 1.0
    share, square = successes / n, z * z
    middle = share + square / (2 * n)
    spread = z * sqrt(share * (1 - share) / n + square / (4 * n * n))
    return min(1.0, (middle + spread) / (1 + square / n))


@dataclass(frozen=True, slots=True)
class CodeVolume:
    """Codes of one owner: to the prefix in this hour, in the busiest hour of the last days to it, and to all prefixes."""

    codes: int = 0
    busiest: int = 0
    busiest_of_all: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """All that is known of one prefix. `days` is for how long codes have been counted."""

    now: Share = Share()
    usual: Share = Share()
    usual_of_all: Share = Share()
    volumes: tuple[CodeVolume, ...] = ()
    days: float = 0.0


def judge(figures: Figures) -> str:
    """Return what speaks for pumping, in words; empty if nothing does."""
    if are_few_confirmed(figures):
        now = figures.now
        return f"{now.approved} of {now.started} verifications were approved; at least {_usual_share(figures):.0%} is usual."
    for volume in figures.volumes:
        if _many_codes(volume, figures):
            return f"{volume.codes} codes in an hour; {volume.busiest} is the most in the last two weeks."
    return ""


def _usual_share(figures: Figures) -> float:
    """The least that the usual share may be; 0.0 if it is not known."""
    if figures.usual.started >= MIN_USUAL:
        return figures.usual.lower(USUAL_CERTAIN)
    if figures.usual_of_all.started >= MIN_USUAL_OF_ALL:
        return figures.usual_of_all.lower(USUAL_CERTAIN)
    return 0.0


def are_few_confirmed(figures: Figures) -> bool:
    return figures.now.started >= MIN_STARTED and figures.now.upper(CERTAIN) < _usual_share(figures) * WORSE


def _many_codes(volume: CodeVolume, figures: Figures) -> bool:
    usual = _usual_share(figures)
    if usual and figures.now.started >= MIN_STARTED and figures.now.lower(CERTAIN) >= usual * WORSE:
        return False  # they are confirmed as usual
    return (
        figures.days >= MIN_DAYS
        and volume.codes >= MIN_CODES
        and volume.codes > TIMES_BUSIEST * volume.busiest
        and volume.codes >= SHARE_OF_ALL * volume.busiest_of_all
    )


def prefix_of(number: str) -> str:
    """The calling code and the next three digits of a number in E.164, with the plus sign."""
    return number[: min(LONGEST, len(calling_code(number)) + DIGITS)] if calling_code(number) else number[:LONGEST]


def holds(prefix: str, configured: tuple[str, ...]) -> bool:
    """Whether an alert holds by the setting: `all`, or prefixes of which one begins the prefix of the alert."""
    return any(each == "all" or prefix.startswith(each) for each in configured)
