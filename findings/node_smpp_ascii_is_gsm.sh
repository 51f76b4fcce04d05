#!/usr/bin/env bash
# Tried: node-smpp (npm smpp 0.5.1) writes a submit_sm with the text "a_b@c$" and no data_coding; then it reads a
# deliver_sm with data_coding 1 whose short_message is that text in ASCII, as an SMSC sends receipts and e-mail
# addresses. smpplib 2.2.4 (Python) reads the first one.
#
# Guess: data_coding 1 is "IA5 (CCITT T.50)/ASCII (ANSI X3.4)" (SMPP 3.4, 5.2.19), so under 1 the octets are ASCII;
# texts in the GSM alphabet go out under 0. (Written down was the half about 0; what happens under 1 came up in that
# run.)
#
# Instead: it labels the text 1 and writes GSM 03.38 octets ("_" is 0x11, "@" 0x00, "$" 0x02); and of an honest ASCII
# "a_b@c$" it makes another text. 0 and 1 are the same alphabet for it.
#
# Why it matters: letters and digits agree in both alphabets, so everything looks right until an address, a link with
# "_" or a price comes along; the message identifier in a receipt text with "_" no longer matches the one that was
# stored. Set data_coding to 0 when sending, and decode incoming 1 from the buffer.
#
# Source: SMPP 3.4, 5.2.19; farhadi/node-smpp issues 26 and 181 (operators complaining of it). Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q smpplib==2.2.4 six==1.17.0 >install.log 2>&1 || { cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error smpp@0.5.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >node.js <<'JS'
const smpp = require('smpp');
const text = 'a_b@c$';
const sent = new smpp.PDU('submit_sm', { short_message: text }).toBuffer();
console.log(sent.toString('hex'));
for (const coding of [0, 1, 3]) {
  const pdu = new smpp.PDU('deliver_sm', { data_coding: coding, short_message: Buffer.from(text, 'ascii') });
  console.error(`node-smpp reads ASCII octets under data_coding ${coding}: ${smpp.PDU.fromBuffer(pdu.toBuffer()).short_message.message}`);
}
JS
cat >read.py <<'PY'
import sys

import smpplib.client
import smpplib.consts
from smpplib.smpp import parse_pdu

pdu = parse_pdu(bytes.fromhex(sys.stdin.read().strip()), client=smpplib.client.Client("127.0.0.1", 2775))  # connects nowhere
print("node-smpp wrote data_coding", pdu.data_coding, "(smpplib: SMPP_ENCODING_IA5 =", f"{smpplib.consts.SMPP_ENCODING_IA5})")
print("and the octets", pdu.short_message.hex(" "), "| ASCII would be", b"a_b@c$".hex(" "))
PY
node node.js >wire 2>reads
{ venv/bin/python read.py <wire; cat reads; } >seen

cat >expected <<'EXPECTED'
node-smpp wrote data_coding 1 (smpplib: SMPP_ENCODING_IA5 = 1)
and the octets 61 11 62 00 63 02 | ASCII would be 61 5f 62 40 63 24
node-smpp reads ASCII octets under data_coding 0: a§b¡c¤
node-smpp reads ASCII octets under data_coding 1: a§b¡c¤
node-smpp reads ASCII octets under data_coding 3: a_b@c$
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
