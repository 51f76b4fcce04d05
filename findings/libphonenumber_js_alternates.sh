#!/usr/bin/env bash
# Tried: libphonenumber-js 1.13.16 with a telephone number as RFC 3966 writes a local one, "tel:2015550123;phone-
# context=+1", four times in a row, then a different number; google-libphonenumber 3.2.47 for comparison.
#
# Guess: a pure function: the same answer every time, +12015550123.
#
# Instead: the first call finds the number, the second says there is none, the third finds it, and so on; the state is
# shared between numbers, so that a number fails because ANOTHER one was parsed before it. google-libphonenumber
# always finds it.
#
# Why it matters: recipients that come out of vCards, web pages or SIP as tel: addresses are accepted and refused in
# turn; a retry "repairs" it, and a test that parses one number once stays green. Strip the phone-context yourself, or
# write numbers in E.164.
#
# Source: catamphetamine/libphonenumber-js pull request 498 (a regular expression with the flag g keeps its position);
# still so in the version above. Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
npm install --no-audit --no-fund --loglevel=error libphonenumber-js@1.13.16 google-libphonenumber@3.2.47 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >parse.js <<'JS'
const { parsePhoneNumberFromString, isValidPhoneNumber } = require('libphonenumber-js');
const { PhoneNumberUtil, PhoneNumberFormat } = require('google-libphonenumber');
const google = PhoneNumberUtil.getInstance();
const us = 'tel:2015550123;phone-context=+1';
const gb = 'tel:7912345678;phone-context=+44';
const number = (text) => (parsePhoneNumberFromString(text) || { number: 'no number' }).number;

for (let call = 1; call <= 4; call += 1) console.log('libphonenumber-js, call', call, number(us));
console.log('isValidPhoneNumber, four calls:', [1, 2, 3, 4].map(() => isValidPhoneNumber(us)).join(' '));
console.log('a US number, then a British one:', number(us), '|', number(gb));
console.log('google-libphonenumber, four calls:',
  [1, 2, 3, 4].map(() => google.format(google.parse(us), PhoneNumberFormat.E164)).join(' '));
JS
node parse.js >seen

cat >expected <<'EXPECTED'
libphonenumber-js, call 1 +12015550123
libphonenumber-js, call 2 no number
libphonenumber-js, call 3 +12015550123
libphonenumber-js, call 4 no number
isValidPhoneNumber, four calls: true false true false
a US number, then a British one: +12015550123 | no number
google-libphonenumber, four calls: +12015550123 +12015550123 +12015550123 +12015550123
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
