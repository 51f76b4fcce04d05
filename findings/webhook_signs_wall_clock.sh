#!/usr/bin/env bash
# Tried: Webhook.sign(id, timestamp, body) of standardwebhooks 1.1.0 and svix 2.9.1 (PyPI) with one instant, once as
# an aware datetime in UTC and once as the same instant in New York and in Tokyo; then verify() with the header that
# belongs to that instant. The npm packages standardwebhooks 1.1.1 and svix 1.99.1 with a Date.
#
# Guess: equal datetimes are equal: one signature, the one that npm computes.
#
# Instead: both Python libraries replace the time zone by UTC and keep the digits of the clock, so they sign another
# instant, hours away. The signature does not fit the webhook-timestamp header that the same program writes from
# datetime.timestamp(), and their own verify() refuses it. Besides, verify() of svix returns None where
# standardwebhooks returns the parsed body.
#
# Why it matters: a gateway that signs its callbacks with the local time (Django's timezone.localtime(), say) sends
# callbacks that every receiver rejects, while its tests, in UTC, pass. Convert to UTC before signing.
#
# Source: the Standard Webhooks specification: the timestamp is "integer unix timestamp (seconds since epoch)". Python
# 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q standardwebhooks==1.1.0 svix==2.9.1 anyio==4.16.0 attrs==26.1.0 Deprecated==1.3.1 httpcore==1.0.9 \
  httpx==0.28.1 pydantic==2.14.4 pydantic_core==2.50.5 python-dateutil==2.9.0.post0 >install.log 2>&1 || { cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error standardwebhooks@1.1.1 svix@1.99.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >sign.py <<'PY'
from datetime import datetime, timedelta, timezone

import standardwebhooks.webhooks
import svix.webhooks

SECRET = "whsec_bm90IGEgcmVhbCBzZWNyZXQsIG9ubHkgZm9yIHRoaXM="
instant = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
zones = {"UTC": 0, "New York": -5, "Tokyo": 9}
for library in (standardwebhooks, svix):
    webhook = library.webhooks.Webhook(SECRET)
    signatures = {}
    for name, hours in zones.items():
        signatures[name] = webhook.sign("msg_1", instant.astimezone(timezone(timedelta(hours=hours))), '{"a":1}')
        now = datetime.now(timezone(timedelta(hours=hours)))
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": webhook.sign("msg_1", now, '{"a":1}'),
        }
        try:
            answer = "accepted, returns " + repr(webhook.verify('{"a":1}', headers))
        except library.webhooks.WebhookVerificationError as error:
            answer = f"refused: {error}"
        print(f"{library.__name__}: signed now, in {name}: {answer}")
    print(f"{library.__name__}: different signatures of one instant: {len(set(signatures.values()))}; in UTC {signatures['UTC']}")
PY
cat >sign.js <<'JS'
for (const name of ['standardwebhooks', 'svix']) {
  const webhook = new (require(name).Webhook)('whsec_bm90IGEgcmVhbCBzZWNyZXQsIG9ubHkgZm9yIHRoaXM=');
  console.log(`npm ${name}: ${webhook.sign('msg_1', new Date('2026-01-01T22:04:05-05:00'), '{"a":1}')}`);
}
JS
{ venv/bin/python sign.py; node sign.js; } >seen

cat >expected <<'EXPECTED'
standardwebhooks: signed now, in UTC: accepted, returns {'a': 1}
standardwebhooks: signed now, in New York: refused: No matching signature found
standardwebhooks: signed now, in Tokyo: refused: No matching signature found
standardwebhooks: different signatures of one instant: 3; in UTC v1,PIVcw+Eb9t2Sr7oo+jj0mG/8XccuJsAsGPmBzBrR2xQ=
svix: signed now, in UTC: accepted, returns None
svix: signed now, in New York: refused: No matching signature found
svix: signed now, in Tokyo: refused: No matching signature found
svix: different signatures of one instant: 3; in UTC v1,PIVcw+Eb9t2Sr7oo+jj0mG/8XccuJsAsGPmBzBrR2xQ=
npm standardwebhooks: v1,PIVcw+Eb9t2Sr7oo+jj0mG/8XccuJsAsGPmBzBrR2xQ=
npm svix: v1,PIVcw+Eb9t2Sr7oo+jj0mG/8XccuJsAsGPmBzBrR2xQ=
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
