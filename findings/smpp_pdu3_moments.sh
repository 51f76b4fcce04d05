#!/usr/bin/env bash
# Tried: absolute times (SMPP 3.4, 7.1.1: YYMMDDhhmmsstnnp) written by smpp.pdu3 0.6, which Python programs use for
# validity_period and schedule_delivery_time: moments within one second, and one wall time in January and in July.
#
# Guess: tenths are microseconds // 100000, so that every moment of a second can be written; nn is the offset that the
# zone has at that time, in quarters of an hour: 20 for New York in January, 16 in July. (The half about the zone was
# written after a look at the code, which is what made us look.)
#
# Instead: from the last tenth only its very first microsecond can be written; the other 99 of 1000 milliseconds tried
# raise ValueError, because `/` of Python 2 became a fraction. And January and July get the same offset: the zone is
# asked for its offset now, not at the time that is written.
#
# Why it matters: a validity made by adding seconds to the present fails for every tenth text, at random. In a program
# that encodes after it has said yes, the text is gone. A delivery time beyond the next change of the clocks is an hour
# off. Cut the microseconds, and give times in UTC.
#
# Python 3.11.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv venv
venv/bin/pip install -q smpp.pdu3==0.6 tzdata==2026.6 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >moments.py <<'PY'
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from smpp.pdu.pdu_encoding import TimeEncoder


def written(moment):
    try:
        return TimeEncoder().encode(moment).decode().rstrip("\0")
    except ValueError as error:
        return f"ValueError: {error}"


def at(microsecond):
    return written(datetime(2026, 12, 1, 10, 0, 0, microsecond, tzinfo=UTC))


for microsecond in (0, 99_999, 800_001, 899_999, 900_000, 900_001, 999_999):
    print(f"{microsecond:6}", at(microsecond))
print("refused:", sum(at(ms * 1000).startswith("ValueError") for ms in range(1000)), "of 1000 milliseconds")
zone = ZoneInfo("America/New_York")
offsets = {written(datetime(2027, month, 15, 12, tzinfo=zone))[13:] for month in (1, 7)}
print("offsets of New York in January and July:", len(offsets), "where there are two")
PY
venv/bin/python moments.py >seen

cat >expected <<'EXPECTED'
     0 261201100000000+
 99999 261201100000000+
800001 261201100000800+
899999 261201100000800+
900000 261201100000900+
900001 ValueError: tenths of second must be one digit
999999 ValueError: tenths of second must be one digit
refused: 99 of 1000 milliseconds
offsets of New York in January and July: 1 where there are two
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
