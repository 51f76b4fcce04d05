"""`make chaos`: every fault with many messages, and a table of the results. Exits with 1 if a promise is broken."""

import argparse
import sys

from tests.journeys.chaos.arena import Arena
from tests.journeys.chaos.scenarios import SCENARIOS, play
from tests.journeys.chaos.table import printed


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="parts of the names of the faults to play")
    parser.add_argument("--messages", type=int, help="for each fault, instead of its own number")
    options = parser.parse_args(arguments)
    rows, broken = [], []
    with Arena() as arena:
        for scenario in SCENARIOS:
            if not any(part in scenario.name for part in options.only):
                continue
            if reason := scenario.left_out():
                sys.stderr.write(f"{scenario.name}: left out: {reason}\n")
            else:
                row, wrong = play(arena, scenario, count=options.messages or scenario.many)
                rows.append(row)
                broken += [f"{scenario.name}: {each}" for each in wrong]
                sys.stderr.write(f"{scenario.name}: {'; '.join(wrong) or 'as promised'}\n")
    sys.stdout.write(f"\n{printed(rows)}\n\n{'; '.join(broken) or 'Nothing lost, nothing sent twice.'}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
