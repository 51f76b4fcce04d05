#!/usr/bin/env bash
# Tried: the tenth business day after a day, without weekends and US federal holidays, which is the time in which an
# opt-out must be honoured (47 CFR 64.1200(a)(10)), counted with the calendars of holidays 0.109, workalendar 17.0.0 and
# pandas 3.1.1 (PyPI), date-holidays 3.37.0 and @18f/us-federal-holidays 4.0.0 (npm). The list is that of the
# year in which the count starts, as a program has it that reads one list a year.
#
# Guess: one date for each start; at most the first of January differs where it is a Saturday.
#
# Instead: workalendar's UnitedStates() has no Juneteenth (law since 2021; it is another class's flag), so it is a day
# early every June. date-holidays moves the other fixed days that fall on a Saturday, but not Veterans Day: a day early
# in November 2028. And 31 December 2021, when New Year 2022 was observed, is not among the days that
# @18f/us-federal-holidays has for 2021, but among those of 2022.
#
# Why it matters: a missing day brings the deadline forward, which is safe, and a reply that a client promises "by" it
# is late by the counterpart's calendar. Two systems that share a case disagree once or twice a year.
#
# Source: 5 U.S.C. 6103. Guess and run: December 2026. Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q holidays==0.109 workalendar==17.0.0 pandas==3.1.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error date-holidays@3.37.0 @18f/us-federal-holidays@4.0.0 >install.log 2>&1 \
  || { cat install.log >&2; exit 1; }

cat >list.js <<'JS'
const Holidays = require('date-holidays');
const federal = require('@18f/us-federal-holidays');
const days = { 'date-holidays': {}, '@18f/us-federal-holidays': {} };
for (const year of [2021, 2027, 2028]) {
  days['date-holidays'][year] = new Holidays('US').getHolidays(year).filter((d) => d.type === 'public').map((d) => d.date.slice(0, 10));
  days['@18f/us-federal-holidays'][year] = federal.allForYear(year).map((d) => new Date(d.date).toISOString().slice(0, 10));
}
console.log(JSON.stringify(days));
JS
node list.js >node.json

cat >count.py <<'PY'
import json
from datetime import date, timedelta

import holidays
from pandas.tseries.holiday import USFederalHolidayCalendar
from workalendar.usa import UnitedStates

node = json.load(open("node.json"))
YEARS = (2021, 2027, 2028)
calendars = {
    "holidays": {year: {str(day) for day in holidays.US(years=year)} for year in YEARS},
    "workalendar": {year: {str(day) for day, _ in UnitedStates().holidays(year)} for year in YEARS},
    "pandas": {
        year: {str(day.date()) for day in USFederalHolidayCalendar().holidays(f"{year}-01-01", f"{year}-12-31")} for year in YEARS
    },
} | {name: {int(year): set(days) for year, days in lists.items()} for name, lists in node.items()}

for start in (date(2027, 6, 14), date(2028, 11, 6), date(2021, 12, 20)):
    print(f"ten business days after {start}:")
    for name, lists in calendars.items():
        day, left = start, 10
        while left:
            day += timedelta(days=1)
            left -= day.weekday() < 5 and str(day) not in lists[start.year]
        print(f"  {day} with {name}")
PY
venv/bin/python count.py >seen

cat >expected <<'EXPECTED'
ten business days after 2027-06-14:
  2027-06-29 with holidays
  2027-06-28 with workalendar
  2027-06-29 with pandas
  2027-06-29 with date-holidays
  2027-06-29 with @18f/us-federal-holidays
ten business days after 2028-11-06:
  2028-11-21 with holidays
  2028-11-21 with workalendar
  2028-11-21 with pandas
  2028-11-20 with date-holidays
  2028-11-21 with @18f/us-federal-holidays
ten business days after 2021-12-20:
  2022-01-05 with holidays
  2022-01-05 with workalendar
  2022-01-05 with pandas
  2022-01-05 with date-holidays
  2022-01-04 with @18f/us-federal-holidays
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
