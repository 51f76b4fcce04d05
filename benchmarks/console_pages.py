"""Response times of the console's pages with a million messages, on the PostgreSQL of `DATABASE_URL`.

    DATABASE_URL=… REDIS_URL=… python -m benchmarks.console_pages [--messages 1000000]

Creates the rows in SQL, as one user's history of 30 days, requests each page 5 times as a superuser, and prints the
median. All messages in the database are deleted first: use a database of its own.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importable only after `django.setup()`
    from django.test import Client

TIMES = 5
LIMIT_MS = 300
MAKE = """
INSERT INTO messaging_message (
  id, direction, status, owner_id, queue_id, is_bulk, from_number, to_number, text, encoding, segments, reference,
  callback_url, provider_id, provider_message_id, attempts, rounds_failed, error_code, error_detail, valid_for, expires_at,
  cancel_requested, created_at, sent_at, delivered_at, updated_at, is_automatic, media_count, schedule_id)
SELECT
  (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
    || substr(md5(n::text), 4, 15))::uuid,
  'outbound', CASE WHEN n %% 1000 = 0 THEN 'failed' WHEN n %% 997 = 0 THEN 'unknown' WHEN n %% 50 = 0 THEN 'sent'
    ELSE 'delivered' END,
  %(owner)s, CASE WHEN n %% 10 = 0 THEN 'paced' ELSE 'express' END, false, '+15005550006',
  '+1415' || lpad((n %% 300000 + 2000000)::text, 7, '0'), 'Hello, your parcel has arrived.', 'gsm7', 1, 'order-' || n, '',
  CASE WHEN n %% 3 = 0 THEN 'bench1' ELSE 'bench2' END, 'pm-' || n, 1, 0, '', '', 14400, at + interval '4 hours', false,
  at, at, at, at, false, 0, CASE WHEN n %% 20 = 0 THEN %(schedule)s::uuid END
FROM (SELECT n, now() - interval '30 days' * (1 - n::float / %(count)s) AS at FROM generate_series(1, %(count)s) n) AS made
"""
SCHEDULE = "01900000-0000-7000-8000-0000000000aa"
PAGES = {
    "list": "/admin/messaging/message/",
    "older page": "older",
    "status delivered": "/admin/messaging/message/?status__exact=delivered",
    "status failed": "/admin/messaging/message/?status__exact=failed",
    "status unknown": "/admin/messaging/message/?status__exact=unknown",
    "status queued (none)": "/admin/messaging/message/?status__exact=queued",
    "queue paced": "/admin/messaging/message/?queue__name__exact=paced",
    "queue idle (none)": "/admin/messaging/message/?queue__name__exact=idle",
    "provider": "/admin/messaging/message/?provider__slug__exact=bench1",
    "provider idle (none)": "/admin/messaging/message/?provider__slug__exact=idle",
    "schedule": f"/admin/messaging/message/?schedule={SCHEDULE}",
    "schedule, none": "/admin/messaging/message/?schedule=01900000-0000-7000-8000-000000000000",
    "day of a week ago": "day",
    "failed, a week ago": "failed that day",
    "id": "id",
    "number, whole": "/admin/messaging/message/?q=%2B14152000123",
    "number, national": "/admin/messaging/message/?q=(415)+200-0123",
    "number, start": "/admin/messaging/message/?q=%2B141520001",
    "reference": "/admin/messaging/message/?q=order-777777",
    "provider's id": "/admin/messaging/message/?q=pm-777777",
    "one message": "one",
    "may the owner be deleted?": "owner",
    "may a queue be deleted?": "/admin/messaging/outboundqueue/express/delete/",
    "dashboard": "/admin/",
    "dashboard, live": "/admin/live/",
}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--messages", type=int, default=1_000_000)
    arguments.add_argument("--keep", action="store_true", help="use the rows of the last run")
    options = arguments.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("SECRET_KEY", "only for a benchmark")

    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    client = prepare(options.messages, keep=options.keep)
    medians = {name: median_ms(client, path) for name, path in addresses().items()}
    for name, milliseconds in medians.items():
        print(f"{name:24} {milliseconds:8.1f} ms {'' if milliseconds < LIMIT_MS else '  <-- too slow'}")
    result = {"messages": options.messages, "median_ms": medians}
    (Path(__file__).parent / "results" / "console_pages.json").write_text(json.dumps(result, indent=1) + "\n")


def prepare(count: int, *, keep: bool) -> "Client":
    from datetime import timedelta

    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client
    from django.utils import timezone

    from messaging.models import OutboundQueue, Rollup
    from messaging.services.installation import install
    from providers.models import ProviderAccount, SenderNumber

    install()
    user, _ = get_user_model().objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    for slug in ("bench1", "bench2", "idle"):
        ProviderAccount.objects.get_or_create(slug=slug, backend="generic_http", config={"url": "http://127.0.0.1:9/"})
    OutboundQueue.objects.get_or_create(name="idle")
    SenderNumber.objects.get_or_create(number="+15005550006")
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    if keep:
        return client
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE messaging_message, messaging_rollup, messaging_countjournal CASCADE")
        cursor.execute(MAKE, {"owner": user.pk, "count": count, "schedule": SCHEDULE})
    # The rollups of 30 days: one row for each hour, status and provider.
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    Rollup.objects.bulk_create(
        Rollup(
            hour=hour - timedelta(hours=age),
            measure=Rollup.Metric.ENTERED,
            owner_id=user.pk,
            provider_slug=slug,
            word=word,
            count=500,
            seconds=0,
        )
        for age in range(720)
        for slug in ("bench1", "bench2")
        for word in ("sent", "delivered", "undelivered", "failed")
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE messaging_message")
        cursor.execute("VACUUM ANALYZE messaging_rollup")
    return client


def addresses() -> dict[str, str]:
    from datetime import timedelta

    from django.utils import timezone

    from messaging.models import Message

    older = Message.objects.order_by("-pk").values_list("pk", flat=True)[50]
    day = f"{timezone.now() - timedelta(days=7):%Y-%m-%d}"
    found = {
        "older": f"{PAGES['list']}?before={older}",
        "day": f"{PAGES['list']}?created_from={day}&created_to={day}",
        "failed that day": f"{PAGES['list']}?created_from={day}&created_to={day}&status__exact=failed",
        "id": f"{PAGES['list']}?q={older}",
        "owner": f"/admin/auth/user/{Message.objects.get(pk=older).owner_id}/delete/",
        "one": f"{PAGES['list']}{Message.objects.order_by('pk').values_list('pk', flat=True)[0]}/change/",
    }
    return {name: found.get(path, path) for name, path in PAGES.items()}


def median_ms(client: "Client", path: str) -> float:
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        response = client.get(path)
        times.append((time.perf_counter() - started) * 1000)
        if response.status_code != 200:
            raise SystemExit(f"{path}: {response.status_code}")
    return round(statistics.median(times), 1)


if __name__ == "__main__":
    main()
