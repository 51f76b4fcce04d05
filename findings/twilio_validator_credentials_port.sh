#!/usr/bin/env bash
# Tried: Twilio's own request validators, twilio 9.13.0 (PyPI) and twilio 6.3.1 (npm), on requests that are signed for
# the address without its port, while the application sees the address with it. Both validators try an address with
# and without the port. The addresses: plain; with user and password (Twilio documents them for Basic authentication);
# with an IPv6 literal; and one that ends in a bare "?".
#
# Guess: the same verdict from both: true.
#
# Instead: Node says true four times; Python only for the plain one. To remove the port it cuts the host part at its
# first ":", which is the one between user and password, or inside the IPv6 address; and the bare "?" is lost when it
# writes the address anew.
#
# Why it matters: genuine callbacks are refused, and only on the deployment that has both a port and credentials; the
# secret and the parameters are right, so one looks in the wrong place. Give the validator the address as the provider
# was told it.
#
# Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q --no-deps twilio==9.13.0 >install.log 2>&1 || { cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error twilio@6.3.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >sign.js <<'JS'
const twilio = require('twilio');
const { getExpectedTwilioSignature } = require('twilio/lib/webhooks/webhooks');
const cases = [
  ['https://example.com:8443/sms', 'https://example.com/sms'],
  ['https://name:pass@example.com:8443/sms', 'https://name:pass@example.com/sms'],
  ['https://[2001:db8::1]:8443/sms', 'https://[2001:db8::1]/sms'],
  ['https://example.com:8443/sms?', 'https://example.com/sms?'],
];
for (const [seen, signed] of cases) {
  const signature = getExpectedTwilioSignature('token', signed, { Body: 'hi' });
  console.log([seen, signature, twilio.validateRequest('token', signature, seen, { Body: 'hi' })].join(' '));
}
JS
cat >check.py <<'PY'
import sys

from twilio.request_validator import RequestValidator

for line in sys.stdin:
    address, signature, node = line.split()
    print(f"{address}: Node {node}, Python {str(RequestValidator('token').validate(address, {'Body': 'hi'}, signature)).lower()}")
PY
node sign.js | venv/bin/python check.py >seen

cat >expected <<'EXPECTED'
https://example.com:8443/sms: Node true, Python true
https://name:pass@example.com:8443/sms: Node true, Python false
https://[2001:db8::1]:8443/sms: Node true, Python false
https://example.com:8443/sms?: Node true, Python false
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
