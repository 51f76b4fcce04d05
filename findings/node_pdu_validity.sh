#!/usr/bin/env bash
# Tried: node-pdu 2.1.1 (npm) builds an SMS-SUBMIT with a validity period of one hour and writes it twice; then one of
# 35 days. python-messaging 0.5.13 (PyPI) for comparison.
#
# Guess: twice the same unit, with the format of the validity period (bits 4 and 3 of the first octet) set to
# "relative", and the octet 0x0B; 35 days are 0xC5 (192 + weeks; 3GPP TS 23.040, 9.2.3.12.1).
#
# Instead: the first toString() writes the octet 0x0B but a first octet that says no validity period is there (0x01);
# the second is right (0x11). In the first unit everything behind is shifted: 0x0B is read as the length of the user
# data, eleven characters where one follows. And 35 days become 0xC9, which is nine weeks: beyond 30 days it goes on
# counting days (166 + days) where the octet counts weeks, so 42 days are sixteen weeks.
#
# Why it matters: whoever calls toString() once, as its README does, hands the modem a broken unit as soon as a
# validity period is set; whoever logs the unit first (which calls it too) sends a good one. Call getStart() once
# before, or write the octets yourself.
#
# Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q python-messaging==0.5.13 >install.log 2>&1 || { cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error node-pdu@2.1.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >submit.js <<'JS'
const { Submit } = require('node-pdu');
const show = (name, unit) => console.log(`${name}: first octet ${unit.slice(2, 4)}, behind the coding ${unit.slice(26)}`);
const hour = new Submit('+14155550101', 'x').setValidityPeriod(3600);
show('node-pdu, an hour, first toString()', hour.toString());
show('node-pdu, an hour, second toString()', hour.toString());
for (const days of [2, 30, 31, 35, 42]) {
  const submit = new Submit('+14155550101', 'x').setValidityPeriod(days * 86400);
  submit.toString();
  const octet = parseInt(submit.toString().slice(26, 28), 16);
  console.log(`node-pdu, ${days} days: 0x${octet.toString(16)}, ${octet > 196 ? (octet - 192) * 7 : octet - 166} days`);
}
JS
cat >submit.py <<'PY'
from datetime import timedelta

from messaging.sms import SmsSubmit

for days in (2, 35):
    submit = SmsSubmit("+14155550101", "x")
    submit.validity = timedelta(days=days)
    octet = int(submit.to_pdu()[0].pdu[26:28], 16)
    print(f"python-messaging, {days} days: {octet:#x}, {(octet - 192) * 7 if octet > 196 else octet - 166} days")
PY
{ node submit.js; venv/bin/python submit.py; } >seen

cat >expected <<'EXPECTED'
node-pdu, an hour, first toString(): first octet 01, behind the coding 0B0178
node-pdu, an hour, second toString(): first octet 11, behind the coding 0B0178
node-pdu, 2 days: 0xa8, 2 days
node-pdu, 30 days: 0xc4, 30 days
node-pdu, 31 days: 0xc5, 35 days
node-pdu, 35 days: 0xc9, 63 days
node-pdu, 42 days: 0xd0, 112 days
python-messaging, 2 days: 0xa8, 2 days
python-messaging, 35 days: 0xc5, 35 days
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
