#!/usr/bin/env bash
# Tried: two valid signatures in one `webhook-signature` header, joined by a blank (Standard Webhooks) and by a comma and a
# blank (what Supabase Auth does for a hook with several secrets, by its source, internal/hooks/hookshttp):
# standardwebhooks 1.1.0 and svix 2.9.1 (PyPI), standardwebhooks 1.1.1 and svix 1.99.1 (npm).
#
# Guess: all four take the blank; of the comma all four say the same, most likely that no signature matches.
#
# Instead: the two for Node verify it, and the two for Python raise ValueError ("too many values to unpack"), which is not
# their WebhookVerificationError.
#
# Why it matters: a receiver that catches the documented exception answers 500 from the day on which somebody adds a second
# secret to rotate the first, and a sender that repeats on 5xx goes on for ever. Split the header yourself, or catch
# ValueError.
#
# Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q standardwebhooks==1.1.0 svix==2.9.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error standardwebhooks@1.1.1 svix@1.99.1 >install.log 2>&1 ||
	{ cat install.log >&2; exit 1; }

cat >verify.py <<'PY'
from base64 import b64encode
from datetime import UTC, datetime

import standardwebhooks
import svix.webhooks

NOW = datetime.now(UTC)
KEY = "whsec_" + b64encode(b"0123456789abcdef0123456789012345").decode()
for name, library, prefix in (("standardwebhooks", standardwebhooks, "webhook"), ("svix", svix.webhooks, "svix")):
    webhook = library.Webhook(KEY)
    signature = webhook.sign("msg_1", NOW, "{}")
    for separator in (" ", ", "):
        headers = {
            f"{prefix}-id": "msg_1",
            f"{prefix}-timestamp": str(int(NOW.timestamp())),
            f"{prefix}-signature": separator.join([signature, signature]),
        }
        try:
            webhook.verify("{}", headers)
            seen = "verified"
        except Exception as error:
            seen = f"raises {type(error).__name__}"
        print(f"Python, {name}, joined by {separator!r}: {seen}")
PY
cat >verify.js <<'JS'
const key = 'whsec_' + Buffer.from('0123456789abcdef0123456789012345').toString('base64');
for (const [name, prefix] of [['standardwebhooks', 'webhook'], ['svix', 'svix']]) {
  const { Webhook } = require(name);
  const webhook = new Webhook(key);
  const now = new Date();
  const signature = webhook.sign('msg_1', now, '{}');
  for (const separator of [' ', ', ']) {
    const headers = {
      [`${prefix}-id`]: 'msg_1',
      [`${prefix}-timestamp`]: String(Math.floor(now / 1000)),
      [`${prefix}-signature`]: [signature, signature].join(separator),
    };
    let seen = 'verified';
    try {
      webhook.verify('{}', headers);
    } catch (error) {
      seen = 'raises';
    }
    console.log(`Node, ${name}, joined by '${separator}': ${seen}`);
  }
}
JS
{ venv/bin/python verify.py; node verify.js; } >seen

cat >expected <<'EXPECTED'
Python, standardwebhooks, joined by ' ': verified
Python, standardwebhooks, joined by ', ': raises ValueError
Python, svix, joined by ' ': verified
Python, svix, joined by ', ': raises ValueError
Node, standardwebhooks, joined by ' ': verified
Node, standardwebhooks, joined by ', ': verified
Node, svix, joined by ' ': verified
Node, svix, joined by ', ': verified
EXPECTED
cat seen
diff expected seen || { echo 'changed' >&2; exit 1; }
echo 'ok: still so'
