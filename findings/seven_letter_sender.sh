#!/usr/bin/env bash
# Tried: an SMS-DELIVER from an alphanumeric sender of seven letters ("Example"), and for comparison of six and eight,
# in smspdudecoder 2.2.0, python-messaging 0.5.13 (PyPI) and node-pdu 2.1.1 (npm).
#
# Guess: the sender as it was written. Seven letters are 49 bits in seven octets, and the length in front counts the
# useful semi-octets, 13 (of eight letters it would be 14), so it is unambiguous (3GPP TS 23.040, 9.1.2.5).
#
# Instead: both Python libraries add an "@" to seven letters, and only to seven: they unpack all octets and take the
# seven spare bits, which are zero, for the letter with the code 0, "@". node-pdu is right.
#
# Why it matters: rules and blocklists that compare the sender miss, and one brand becomes two contacts; no test with
# a name of another length shows it (a sender has eleven letters at most). Strip the "@" behind seven letters.
#
# Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q smspdudecoder==2.2.0 bitstring==4.4.0 bitarray==3.12.3 tibs==0.5.7 python-messaging==0.5.13 >install.log 2>&1 || { cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error node-pdu@2.1.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >units.py <<'PY'
import json


def deliver(coding, data, length, sender="0B914151550501F1"):
    """An SMS-DELIVER without service centre address, of 31 December 2024, 23:59:30 UTC."""
    return f"0004{sender}00{coding:02X}42211332950300{length:02X}{data.hex().upper()}"


def pack(septets):
    bits = sum(value << (7 * n) for n, value in enumerate(septets))
    return bits.to_bytes((7 * len(septets) + 7) // 8, "little")


units = {}
for name in ("Exampl", "Example", "Examples"):
    semi_octets = -(-7 * len(name) // 4)
    address = f"{semi_octets:02X}D0" + pack([ord(c) for c in name]).hex().upper()
    units[name] = deliver(0, pack([ord("x")]), 1, sender=address)
json.dump(units, open("units.json", "w"))
if __name__ == "__main__":
    from messaging.sms import SmsDeliver
    from smspdudecoder.easy import read_incoming_sms

    for name, unit in units.items():
        print(f"{name}: smspdudecoder {read_incoming_sms(unit)['sender']}, python-messaging {SmsDeliver(unit).number}")
PY
cat >units.js <<'JS'
const { parse } = require('node-pdu');
for (const [name, unit] of Object.entries(require('./units.json'))) console.log(`${name}: node-pdu ${parse(unit).address.phone}`);
JS
{ venv/bin/python units.py; node units.js; } >seen

cat >expected <<'EXPECTED'
Exampl: smspdudecoder Exampl, python-messaging Exampl
Example: smspdudecoder Example@, python-messaging Example@
Examples: smspdudecoder Examples, python-messaging Examples
Exampl: node-pdu Exampl
Example: node-pdu Example
Examples: node-pdu Examples
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
