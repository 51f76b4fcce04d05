#!/usr/bin/env bash
# Tried: all 137 characters of the GSM 7-bit default alphabet and its extension table (3GPP TS 23.038, 6.2.1), and the
# backtick, which is in neither, through smpplib.gsm.make_parts of smpplib 2.2.4; the table itself comes from gsm0338
# 1.1.0 (PyPI).
#
# Guess (written for seven codecs together: one and the same table): each of the 137 goes out under data_coding 0 with
# its own code; the backtick is not in the alphabet, so that text falls back to UCS-2 as any other would.
#
# Instead: "§" and the form feed go out as UCS-2, and the backtick goes out under data_coding 0 as 0x5F, which is the
# section sign: the table in the library has a backtick, its mark for an empty place, where "§" belongs.
#
# Why it matters: a text with a backtick (a code, a command, a quoted word) arrives with "§" in its place, and no
# error is raised; a text with one "§" (a legal notice in German) costs up to three times the parts. Encode for
# yourself and give the library octets; its docstring warns of the function in general, not of this.
#
# Python 3.11.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q smpplib==2.2.4 six==1.17.0 gsm0338==1.1.0 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >alphabet.py <<'PY'
import gsm0338
from smpplib import consts
from smpplib.gsm import make_parts

codec = gsm0338.Codec()
codes = [bytes([n]) for n in range(128) if n != 27] + [bytes([27, n]) for n in (10, 20, 40, 41, 47, 60, 61, 62, 64, 101)]
alphabet = {codec.decode(code)[0]: code for code in codes}
print("characters:", len(alphabet))
for character, code in alphabet.items():
    parts, coding, _ = make_parts(character)
    if (coding, parts) != (consts.SMPP_ENCODING_DEFAULT, [code]):
        print(f"{ascii(character)} should be {code.hex()} under 0; it is {parts[0].hex()} under {coding}")
parts, coding, _ = make_parts("`")
print(f"the backtick is not in the alphabet; it goes out as {parts[0].hex()} under {coding},", end=" ")
print("which every handset shows as", ascii(codec.decode(parts[0])[0]))
text = "a" * 159
print("159 letters and a section sign:", len(make_parts(text + "\u00a7")[0]), "parts; with a dollar:", len(make_parts(text + "$")[0]))
PY
venv/bin/python alphabet.py >seen

cat >expected <<'EXPECTED'
characters: 137
'\xa7' should be 5f under 0; it is 00a7 under 8
'\x0c' should be 1b0a under 0; it is 000c under 8
the backtick is not in the alphabet; it goes out as 5f under 0, which every handset shows as '\xa7'
159 letters and a section sign: 3 parts; with a dollar: 1
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
