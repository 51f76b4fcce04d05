#!/usr/bin/env bash
# Tried: two cron lines with a day of the month and a day of the week, "0 9 13 * 5" and "0 9 */2 * 1", in croniter
# 7.0.0, cronsim 2.8, celery 5.7.0's crontab (PyPI), cron-parser 5.10.6 and croner 11.0.1 (npm): the first four days
# from 1 January 2026.
#
# Guess: as crontab(5) has it, everywhere: the first line runs on the 13th OR on Fridays; in the second a field begins
# with "*", so both fields must agree: Mondays with an odd date.
#
# Instead: three readings. croniter, cron-parser and croner take OR both times (the second line runs nearly every
# day). cronsim follows crontab(5). celery's crontab takes AND both times: the first line waits for a Friday the 13th.
#
# Why it matters: a schedule copied from one system to another (a line that a page previews with cron-parser and
# celery beat runs) sends reminders on other days, from about three times a year to every second day. Never fill both
# fields.
#
# Source: crontab(5), Debian: "If both fields are restricted (i.e., don't start with *), the command will be run when
# either field matches". Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q celery==5.7.0 kombu==5.7.0 billiard==4.3.2 amqp==5.4.2 vine==5.1.0 croniter==7.0.0 cronsim==2.8 \
  python-dateutil==2.9.0.post0 >install.log 2>&1 || { cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error cron-parser@5.10.6 croner@11.0.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >days.py <<'PY'
from datetime import datetime, timedelta, timezone

from celery import Celery
from celery.schedules import crontab
from croniter import croniter
from cronsim import CronSim

app = Celery(set_as_current=False)
app.conf.timezone = "UTC"
start = datetime(2026, 1, 1, tzinfo=timezone.utc)


def celery_days(line):
    minute, hour, day, month, weekday = line.split()
    moment = start.replace(hour=9)
    while True:
        schedule = crontab(
            minute, hour, day_of_month=day, month_of_year=month, day_of_week=weekday, app=app, nowfun=lambda: moment
        )
        if schedule.is_due(moment - timedelta(minutes=1)).is_due:
            yield moment
        moment += timedelta(days=1)


def croniter_days(line):
    series = croniter(line, start)
    while True:
        yield series.get_next(datetime)


for line in ("0 9 13 * 5", "0 9 */2 * 1"):
    for name, days in (("croniter", croniter_days(line)), ("cronsim", CronSim(line, start)), ("celery", celery_days(line))):
        print(f"{line}  {name:11}", *(next(days).strftime("%Y-%m-%d") for _ in range(4)))
PY
cat >days.js <<'JS'
const { CronExpressionParser } = require('cron-parser');
const { Cron } = require('croner');
const start = new Date('2026-01-01T00:00:00Z');
const day = (date) => date.toISOString().slice(0, 10);
for (const line of ['0 9 13 * 5', '0 9 */2 * 1']) {
  const series = CronExpressionParser.parse(line, { currentDate: start, tz: 'UTC' });
  console.log(line, '', 'cron-parser', [1, 2, 3, 4].map(() => day(series.next().toDate())).join(' '));
  console.log(line, '', 'croner     ', new Cron(line, { timezone: 'UTC' }).nextRuns(4, start).map(day).join(' '));
}
JS
{ venv/bin/python days.py; node days.js; } | LC_ALL=C sort -s -k1,5 >seen

cat >expected <<'EXPECTED'
0 9 */2 * 1  croniter    2026-01-01 2026-01-03 2026-01-05 2026-01-07
0 9 */2 * 1  cronsim     2026-01-05 2026-01-19 2026-02-09 2026-02-23
0 9 */2 * 1  celery      2026-01-05 2026-01-19 2026-02-09 2026-02-23
0 9 */2 * 1  cron-parser 2026-01-01 2026-01-03 2026-01-05 2026-01-07
0 9 */2 * 1  croner      2026-01-01 2026-01-03 2026-01-05 2026-01-07
0 9 13 * 5  croniter    2026-01-02 2026-01-09 2026-01-13 2026-01-16
0 9 13 * 5  cronsim     2026-01-02 2026-01-09 2026-01-13 2026-01-16
0 9 13 * 5  celery      2026-02-13 2026-03-13 2026-11-13 2027-08-13
0 9 13 * 5  cron-parser 2026-01-02 2026-01-09 2026-01-13 2026-01-16
0 9 13 * 5  croner      2026-01-02 2026-01-09 2026-01-13 2026-01-16
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
