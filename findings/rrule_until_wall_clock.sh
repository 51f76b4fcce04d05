#!/usr/bin/env bash
# Tried: "every day, until an instant in UTC" with DTSTART in a time zone, as RFC 5545 3.3.10 demands it, in npm rrule
# 2.8.1, rrule-rust 3.1.1 (npm) and python-dateutil 2.9.0.post0; and one EXDATE that names an occurrence by its
# instant in UTC.
#
# Guess: UNTIL and EXDATE are instants, so all three give the same series.
#
# Instead: npm rrule compares the digits of UNTIL and EXDATE with the LOCAL wall clock. A series in Tokyo loses its
# last occurrence, a series in New York gains one after its end, and the excluded day is sent all the same. The other
# two are right.
#
# Why it matters: an interface that previews a schedule with rrule shows other days than the server sends, by one
# text, and east of Greenwich it is the last reminder that is missing. Only instants within the offset of the end show
# it; tests in UTC never do.
#
# Source: RFC 5545, 3.3.10 (UNTIL) and 3.8.5.1 (EXDATE); jkbrzt/rrule issue 596 (open). Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q python-dateutil==2.9.0.post0 six==1.17.0 >install.log 2>&1 || { cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error rrule@2.8.1 rrule-rust@3.1.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >series.js <<'JS'
const { rrulestr } = require('rrule');
const { RRuleSet } = require('rrule-rust');
const series = {
  'Tokyo, UNTIL = the third': 'DTSTART;TZID=Asia/Tokyo:20260105T080000\nRRULE:FREQ=DAILY;UNTIL=20260106T230000Z',
  'New York, UNTIL = a second before the second':
    'DTSTART;TZID=America/New_York:20260105T220000\nRRULE:FREQ=DAILY;UNTIL=20260107T025959Z',
  'New York, EXDATE = the second, in UTC':
    'DTSTART;TZID=America/New_York:20260105T090000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260106T140000Z',
};
for (const [name, text] of Object.entries(series)) {
  console.log(name);
  console.log('  npm rrule ', rrulestr(text, { forceset: true }).all().map((d) => d.toISOString().slice(0, 16)).join(' '));
  console.log('  rrule-rust',
    RRuleSet.fromString(text).all().map((d) => new Date(d.toTimestamp()).toISOString().slice(0, 16)).join(' '));
}
JS
cat >series.py <<'PY'
from datetime import timezone

from dateutil.rrule import rrulestr

for text in (
    "DTSTART;TZID=Asia/Tokyo:20260105T080000\nRRULE:FREQ=DAILY;UNTIL=20260106T230000Z",
    "DTSTART;TZID=America/New_York:20260105T220000\nRRULE:FREQ=DAILY;UNTIL=20260107T025959Z",
    "DTSTART;TZID=America/New_York:20260105T090000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260106T140000Z",
):
    print("dateutil  ", *(d.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M") for d in rrulestr(text, forceset=True)))
PY
{ TZ=UTC node series.js; venv/bin/python series.py; } >seen

cat >expected <<'EXPECTED'
Tokyo, UNTIL = the third
  npm rrule  2026-01-04T23:00 2026-01-05T23:00
  rrule-rust 2026-01-04T23:00 2026-01-05T23:00 2026-01-06T23:00
New York, UNTIL = a second before the second
  npm rrule  2026-01-06T03:00 2026-01-07T03:00
  rrule-rust 2026-01-06T03:00
New York, EXDATE = the second, in UTC
  npm rrule  2026-01-05T14:00 2026-01-06T14:00 2026-01-07T14:00
  rrule-rust 2026-01-05T14:00 2026-01-07T14:00
dateutil   2026-01-04T23:00 2026-01-05T23:00 2026-01-06T23:00
dateutil   2026-01-06T03:00
dateutil   2026-01-05T14:00 2026-01-07T14:00
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
