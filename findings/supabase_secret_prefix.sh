#!/usr/bin/env bash
# Tried: the secret of an auth hook as Supabase shows it (`v1,whsec_` and base64), handed whole to the libraries of Standard
# Webhooks: standardwebhooks 1.1.0 and svix 2.9.1 (PyPI), standardwebhooks 1.1.1 and svix 1.99.1 (npm). They know the
# prefix `whsec_`, not the `v1,` before it.
#
# Guess: all four raise, since `v1,whsec_` is no base64.
#
# Instead: the two for Node raise. The two for Python take it and sign with another key: `base64.b64decode` drops the
# comma and the underscore and reads the other seven characters of the prefix as part of the key, whose length fits
# because it drops what is left over at the end, too.
#
# Why it matters: every genuine call is refused with "no matching signature found", as if the sender were wrong, and
# nothing points at the secret. Remove the prefix yourself, and refuse a secret that is no base64.
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

cat >sign.py <<'PY'
from base64 import b64encode
from datetime import UTC, datetime

import standardwebhooks
import svix.webhooks

KEY = b64encode(b"0123456789abcdef0123456789012345").decode()
for name, library in (("standardwebhooks", standardwebhooks), ("svix", svix.webhooks)):
    for prefix in ("whsec_", "v1,whsec_"):
        try:
            seen = library.Webhook(prefix + KEY).sign("msg_1", datetime.fromtimestamp(1764500000, UTC), "{}")
        except Exception as error:
            seen = f"raises {type(error).__name__}"
        print(f"Python, {name}, {prefix}: {seen}")
PY
cat >sign.js <<'JS'
const key = Buffer.from('0123456789abcdef0123456789012345').toString('base64');
for (const name of ['standardwebhooks', 'svix']) {
  const { Webhook } = require(name);
  for (const prefix of ['whsec_', 'v1,whsec_']) {
    let seen;
    try {
      seen = new Webhook(prefix + key).sign('msg_1', new Date(1764500000000), '{}');
    } catch (error) {
      seen = 'raises';
    }
    console.log(`Node, ${name}, ${prefix}: ${seen}`);
  }
}
JS
{ venv/bin/python sign.py; node sign.js; } >seen

cat >expected <<'EXPECTED'
Python, standardwebhooks, whsec_: v1,7a7alHJCqWA/zoENxmb1jr7dG5c95913/71TM8+TttM=
Python, standardwebhooks, v1,whsec_: v1,z9hLyUvQEb3V0vvTJpT2YPdMz2X9VPFg0QAeiOasGGQ=
Python, svix, whsec_: v1,7a7alHJCqWA/zoENxmb1jr7dG5c95913/71TM8+TttM=
Python, svix, v1,whsec_: v1,z9hLyUvQEb3V0vvTJpT2YPdMz2X9VPFg0QAeiOasGGQ=
Node, standardwebhooks, whsec_: v1,7a7alHJCqWA/zoENxmb1jr7dG5c95913/71TM8+TttM=
Node, standardwebhooks, v1,whsec_: raises
Node, svix, whsec_: v1,7a7alHJCqWA/zoENxmb1jr7dG5c95913/71TM8+TttM=
Node, svix, v1,whsec_: raises
EXPECTED
cat seen
diff expected seen || { echo 'changed' >&2; exit 1; }
echo 'ok: still so'
