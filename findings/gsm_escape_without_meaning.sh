#!/usr/bin/env bash
# Tried: five readers of the GSM 7-bit alphabet on 1B 41, an escape before a code that the extension table does not
# have: gsm0338 1.1.0, smsutil 1.1.3, python-messaging 0.5.13 (PyPI), smpp 0.5.1 and node-pdu 2.1.1 (npm). Handsets send
# that with the tables of a national language, and carriers with characters of a newer table than the reader's.
#
# Guess: all give "A". 3GPP TS 23.038, 6.2.1.1: where the extension has no symbol for a code, the character of the main
# table with that code is displayed; a second escape stands for a space.
#
# Instead: none does, and there are four results. gsm0338 raises for the whole text, smsutil and python-messaging put a
# no-break space before the A, smpp leaves the control character U+001B there, and node-pdu shows a backtick, which is in
# neither table, in place of both.
#
# Why it matters: one such code loses a whole reply, or puts a control character into a database and a console, for a
# text that the standard says how to show. Read the two tables yourself: it is one `if`.
#
# Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q gsm0338==1.1.0 smsutil==1.1.3 python-messaging==0.5.13 >install.log 2>&1 ||
	{ cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error smpp@0.5.1 node-pdu@2.1.1 >install.log 2>&1 ||
	{ cat install.log >&2; exit 1; }

cat >read.py <<'PY'
import gsm0338
import messaging.sms.gsm0338
import smsutil

TEXT = bytes.fromhex("43 1B 41 42")
READERS = {
    "gsm0338": lambda: gsm0338.Codec().decode(TEXT)[0],
    "smsutil": lambda: smsutil.decode(TEXT),
    "python-messaging": lambda: TEXT.decode("gsm0338"),
}
for name, read in READERS.items():
    try:
        print(f"{name}: {ascii(read())}")
    except Exception as error:
        print(f"{name}: raises {type(error).__name__}")
PY
cat >read.js <<'JS'
const smpp = require('smpp');
const pdu = require('node-pdu');
console.log(`smpp: ${JSON.stringify(smpp.encodings.ASCII.decode(Buffer.from('431B4142', 'hex')))}`);
// An SMS-DELIVER with the four septets 43 1B 41 42, packed.
const deliver = pdu.parse('00040B914151550501F10000' + '62110321000000' + '04' + 'C34D5008');
console.log(`node-pdu: ${JSON.stringify(deliver.data.getText())}`);
JS
{ venv/bin/python read.py; node read.js; } >seen

cat >expected <<'EXPECTED'
gsm0338: raises UnicodeDecodeError
smsutil: 'C\xa0AB'
python-messaging: 'C\xa0AB'
smpp: "C\u001bAB"
node-pdu: "C`B"
EXPECTED
cat seen
diff expected seen || { echo 'changed' >&2; exit 1; }
echo 'ok: still so'
