#!/usr/bin/env bash
# Tried: 9 o'clock in Berlin, 1 December 2026, as an aware datetime, as the time at which a text is to be sent: twilio
# 9.13.0 (PyPI; client.messages.create with send_at, the request caught by an HTTP client of our own, nothing is sent)
# and infobip-api-python-sdk 5.0.1 (the body of an SMS, from a datetime and from the text with +01:00). Beside them
# twilio 6.3.1 (npm) with the same instant as a Date.
#
# Guess: an aware datetime is an instant, so all ask for 08:00:00Z.
#
# Instead: both Python SDKs write the digits of the local clock and add a Z: the text is asked for at 10 o'clock in
# Berlin. Infobip's does so with the text "2026-12-01T09:00:00+01:00", too, which it reads and then robs of its offset.
# Only Node's sends the right instant. Neither raises or warns; in a program that runs in UTC all is well.
#
# Why it matters: reminders go an hour late in Berlin, and in New York five hours early, "now" for most of them. A
# gateway with these SDKs' interfaces in front of it sees a valid time and cannot tell. Give .astimezone(timezone.utc).
#
# Source: RFC 3339, section 2: Z is the offset 00:00. Guess and run: December 2026. Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_cache="$work/npm-cache"
python3 -m venv venv
venv/bin/pip install -q twilio==9.13.0 infobip-api-python-sdk==5.0.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }
npm install --no-audit --no-fund --loglevel=error twilio@6.3.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >send.py <<'PY'
import json
import warnings
from datetime import datetime
from importlib.metadata import version
from zoneinfo import ZoneInfo

from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from infobip_channels.sms.models.body.core import CoreMessage

warnings.simplefilter("ignore")
nine = datetime(2026, 12, 1, 9, 0, tzinfo=ZoneInfo("Europe/Berlin"))


class Catcher(TwilioHttpClient):
    def request(self, method, url, params=None, data=None, **others):
        print(f"twilio {version('twilio')} asks for", data["SendAt"])
        return Response(201, json.dumps({"sid": "SM" + "0" * 32}))


Client("AC" + "0" * 32, "not a token", http_client=Catcher()).messages.create(
    to="+15005550006", messaging_service_sid="MG" + "0" * 32, body="Hi", schedule_type="fixed", send_at=nine
)
for given in (nine, nine.isoformat()):
    message = CoreMessage(destinations=[{"to": "41793026727"}], send_at=given)
    print(f"infobip {version('infobip-api-python-sdk')}, given a {type(given).__name__}, asks for", message.send_at)
PY
cat >send.js <<'JS'
const { iso8601DateTime } = require('twilio/lib/base/serialize');
console.log('npm twilio', require('twilio/package.json').version, 'asks for', iso8601DateTime(new Date('2026-12-01T09:00:00+01:00')));
JS
{ venv/bin/python send.py; node send.js; } >seen

cat >expected <<'EXPECTED'
twilio 9.13.0 asks for 2026-12-01T09:00:00Z
infobip 5.0.1, given a datetime, asks for 2026-12-01T09:00:00.000000Z
infobip 5.0.1, given a str, asks for 2026-12-01T09:00:00.000000Z
npm twilio 6.3.1 asks for 2026-12-01T08:00:00Z
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
