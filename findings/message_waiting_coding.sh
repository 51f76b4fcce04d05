#!/usr/bin/env bash
# Tried: SMS-DELIVER units of the groups "message waiting indication" (3GPP TS 23.038, clause 4), with which networks
# announce voice mail, in smspdudecoder 2.2.0 and python-messaging 0.5.13 (PyPI), node-pdu 2.1.1 and, for the same
# data_coding in SMPP, smpp 0.5.1 (npm). 0xC8 (discard) and 0xD8 (store) carry "Hello" in the GSM alphabet; 0xE8 and
# 0xE0 (store) carry "Hé" in UCS-2.
#
# Guess: the group decides the alphabet, bits 7 to 4: 1100 and 1101 GSM, 1110 UCS-2. Bit 3 only says "indication
# active". (For node-smpp the result was seen before the guess was written.)
#
# Instead: the two Python libraries read bits 3 and 2 as in the general group: under 0xC8 and 0xD8, the notice that
# voice mail waits, they take GSM letters for UCS-2 and raise; 0xE8 comes out right by that accident, and 0xE0
# (indication INactive) as GSM garbage. node-pdu reads 0xD8 as three Asian characters and 0xE0 as the same garbage;
# node-smpp takes 0xE0 for GSM too.
#
# Why it matters: inbound numbers get such messages from the network itself, unasked. A reader that raises on one
# stops a queue; one that guesses stores a text that nobody sent. Decide by the upper four bits, and set these
# messages apart.
#
# Source: the clause above; farhadi/node-smpp issue 66. Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q smspdudecoder==2.2.0 bitstring==4.4.0 bitarray==3.12.3 tibs==0.5.7 python-messaging==0.5.13 >install.log 2>&1 || { cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error node-pdu@2.1.1 smpp@0.5.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >units.py <<'PY'
import json


def deliver(coding, data, length, sender="0B914151550501F1"):
    """An SMS-DELIVER without service centre address, of 31 December 2024, 23:59:30 UTC."""
    return f"0004{sender}00{coding:02X}42211332950300{length:02X}{data.hex().upper()}"


def pack(septets):
    bits = sum(value << (7 * n) for n, value in enumerate(septets))
    return bits.to_bytes((7 * len(septets) + 7) // 8, "little")


hello = [ord(c) for c in "Hello"]
ucs2 = "Hé".encode("utf-16-be")
units = {
    "0xC8": deliver(0xC8, pack(hello), 5),
    "0xD8": deliver(0xD8, pack(hello), 5),
    "0xE8": deliver(0xE8, ucs2, 4),
    "0xE0": deliver(0xE0, ucs2, 4),
}
json.dump(units, open("units.json", "w"))
if __name__ == "__main__":
    from messaging.sms import SmsDeliver
    from smspdudecoder.easy import read_incoming_sms

    for coding, unit in units.items():
        for name, read in (
            ("smspdudecoder", lambda u: read_incoming_sms(u)["content"]),
            ("python-messaging", lambda u: SmsDeliver(u).text),
        ):
            try:
                text = ascii(read(unit))
            except Exception as error:
                text = type(error).__name__
            print(coding, name, text)
PY
cat >units.js <<'JS'
const { parse } = require('node-pdu');
const smpp = require('smpp');
const ascii = (text) => JSON.stringify(text).replace(/[\u0080-\uffff]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
for (const [coding, unit] of Object.entries(require('./units.json'))) console.log(coding, 'node-pdu', ascii(parse(unit).data.getText()));
const pdu = new smpp.PDU('deliver_sm', { data_coding: 0xE0, short_message: Buffer.from('004800e9', 'hex') });
console.log('0xE0', 'node-smpp', ascii(smpp.PDU.fromBuffer(pdu.toBuffer()).short_message.message));
JS
{ venv/bin/python units.py; node units.js; } >seen

cat >expected <<'EXPECTED'
0xC8 smspdudecoder UnicodeDecodeError
0xC8 python-messaging IndexError
0xD8 smspdudecoder UnicodeDecodeError
0xD8 python-messaging IndexError
0xE8 smspdudecoder 'H\xe9'
0xE8 python-messaging 'H\xe9'
0xE0 smspdudecoder '@\u0394\xa3H'
0xE0 python-messaging '@\u0394\xa3H'
0xC8 node-pdu "Hello"
0xD8 node-pdu "\uc832\u9bfd\u0600"
0xE8 node-pdu "H\u00e9"
0xE0 node-pdu "@\u0394\u00a3H"
0xE0 node-smpp "@H@ "
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
