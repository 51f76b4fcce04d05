#!/usr/bin/env bash
# Tried: Unidecode 1.4.0, text-unidecode 1.3 and anyascii 0.3.3 (PyPI), which gateways and template helpers use to turn
# a text into one of the GSM alphabet (or ASCII) before it is sent, on texts as pharmacies and shops write them.
#
# Guess: the same readable text from all three: "1 1/2", "GBP 5" or "L5", "TL5" for the lira, "Nr. 5".
#
# Instead: "take 1½" becomes "take 11/2" with two of them, which reads as five and a half; only Unidecode puts a blank
# between. "£5 off" becomes "PS5 off" with two of them, "§" two letters or one, the Turkish lira an "L" (Unidecode),
# a "[?]" (text-unidecode) or "TL"; "№ 5" loses its sign in one. And of all these characters £, §, ¥ and Ñ are in the GSM
# alphabet and would have been sent as they are, in one septet each.
#
# Why it matters: a wrong dose or price in a text that nobody proofreads, and "smart encoding" that changes characters
# which cost nothing. Replace by a table of one's own, and only what the alphabet does not have.
#
# Source: 3GPP TS 23.038, 6.2.1 (the alphabet). Guess and run: December 2026. Python 3.11.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv venv
venv/bin/pip install -q Unidecode==1.4.0 text-unidecode==1.3 anyascii==0.3.3 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >convert.py <<'PY'
from anyascii import anyascii
from text_unidecode import unidecode as text_unidecode
from unidecode import unidecode

for text in ("take 1\u00bd", "\u00a35 off", "\u00a5500", "\u00a7 7", "\u20ba5", "\u2116 5", "Nu\u00f1oa"):
    print(" | ".join([ascii(text), *(repr(convert(text)) for convert in (unidecode, text_unidecode, anyascii))]))
PY
venv/bin/python convert.py >seen

cat >expected <<'EXPECTED'
'take 1\xbd' | 'take 1 1/2' | 'take 11/2' | 'take 11/2'
'\xa35 off' | 'PS5 off' | 'PS5 off' | 'GBP5 off'
'\xa5500' | 'Y=500' | 'Y=500' | 'Y500'
'\xa7 7' | 'SS 7' | 'SS 7' | 'S 7'
'\u20ba5' | 'L5' | '[?]5' | 'TL5'
'\u2116 5' | 'No.  5' | ' 5' | 'No 5'
'Nu\xf1oa' | 'Nunoa' | 'Nunoa' | 'Nunoa'
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
