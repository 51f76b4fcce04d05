"""Fill an empty PostgreSQL database with a year of messages, written by the database itself.

    DATABASE_URL=postgresql://…/NAME REDIS_URL=… python -m benchmarks.load_rows --database NAME [--rows 10000000]

Refuses a database that has messages, or that is not the one named twice. 10 million rows take 8 GB and 7 minutes of one core.
Everything is in one transaction, so a load that was stopped leaves nothing behind.

The newest `OPEN` messages are still on their way, whatever the number of rows: a backlog is not history. The newest tenth has
attempts and a history. Rollups agree with the rows, phone numbers with the recipients.
"""

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

OPEN = 400
OWNERS = ("large", "medium", "small", "smaller", "smallest")
PROVIDERS = ("bench1", "bench2")
SENDERS = ("+15005550006", "+4915100000001", "+447700900001")
SCHEDULE = "01900000-0000-7000-8000-0000000000aa"

# `n` is the number of the row, oldest first. `a`, `b` and `c` scatter it, each in its own way.
MESSAGES = """
INSERT INTO messaging_message (
  id, direction, status, owner_id, queue_id, is_bulk, from_number, to_number, text, encoding, segments, reference,
  callback_url, provider_id, provider_message_id, attempts, rounds_failed, error_code, error_detail, valid_for, expires_at,
  next_attempt_at, cancel_requested, claim_id, lease_until, created_at, received_at, sent_at, delivered_at, updated_at,
  is_automatic, media_count, schedule_id, provider_keyword, pending_reply)
SELECT
  (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) || '8'
    || substr(hash, 4, 15))::uuid,
  CASE WHEN inbound THEN 'inbound' ELSE 'outbound' END,
  status,
  (%(owners)s::int[])[CASE WHEN b %% 100 < 50 THEN 1 WHEN b %% 100 < 75 THEN 2 WHEN b %% 100 < 90 THEN 3
    WHEN b %% 100 < 97 THEN 4 ELSE 5 END],
  CASE WHEN inbound THEN NULL WHEN c %% 5 = 0 AND NOT open THEN 'paced' ELSE 'express' END,
  bulk,
  CASE WHEN inbound THEN person ELSE sender END,
  CASE WHEN inbound THEN sender ELSE person END,
  'Hello, your parcel ' || n || ' has arrived at the shop. Bring this text and your card, we are open until eight.',
  'gsm7', 1,
  CASE WHEN a %% 10 < 3 THEN 'order-' || n ELSE '' END,
  '',
  CASE WHEN status IN ('queued', 'scheduled', 'canceled') THEN NULL WHEN c %% 3 = 0 THEN 'bench1' ELSE 'bench2' END,
  CASE WHEN status IN ('queued', 'scheduled', 'canceled', 'sending') THEN '' ELSE 'pm-' || n END,
  CASE WHEN inbound OR status IN ('queued', 'scheduled', 'canceled') THEN 0 ELSE 1 END, 0,
  CASE status WHEN 'failed' THEN 'rejected' WHEN 'undelivered' THEN 'absent_subscriber' WHEN 'unknown' THEN 'timeout'
    ELSE '' END,
  '',
  CASE WHEN inbound THEN NULL ELSE 14400 END,
  CASE WHEN NOT inbound THEN at + interval '4 hours' END,
  CASE WHEN status = 'scheduled' OR (open AND n %% 8 = 3) THEN at + interval '1 hour' END,
  false,
  CASE WHEN status = 'sending' THEN %(claim)s::uuid END,
  CASE WHEN status = 'sending' THEN at + interval '1 hour' END,
  at,
  CASE WHEN inbound THEN at END,
  CASE WHEN status IN ('sent', 'delivered', 'undelivered') THEN at + interval '1 second' END,
  CASE WHEN status = 'delivered' THEN at + interval '4 seconds' END,
  at + interval '4 seconds',
  false, 0,
  CASE WHEN NOT inbound AND c %% 20 = 0 THEN %(schedule)s::uuid END,
  '', ''
FROM (
  SELECT *,
    CASE
      WHEN open AND inbound THEN 'stored'
      WHEN open THEN (ARRAY['queued', 'queued', 'queued', 'queued', 'queued', 'sending', 'scheduled', 'queued'])[n %% 8 + 1]
      WHEN inbound THEN 'processed'
      WHEN b / 100 %% 1000 < 920 THEN 'delivered'
      WHEN b / 100 %% 1000 < 960 THEN 'sent'
      WHEN b / 100 %% 1000 < 980 THEN 'undelivered'
      WHEN b / 100 %% 1000 < 993 THEN 'failed'
      WHEN b / 100 %% 1000 < 996 THEN 'unknown'
      ELSE 'canceled'
    END AS status,
    open AND NOT inbound AND n %% 8 < 2 AS bulk,
    CASE WHEN c %% 10 < 6 THEN '+1415' WHEN c %% 10 < 8 THEN '+49151' WHEN c %% 10 < 9 THEN '+4477' ELSE '+3361' END
      || lpad((a / 10 %% %(people)s + 2000000)::text, 7, '0') AS person,
    (%(senders)s::text[])[c / 10 %% 3 + 1] AS sender
  FROM (
    SELECT n, n > %(count)s - %(open)s AS open, a %% 20 = 7 AS inbound, a, b, c, md5(n::text) AS hash,
      %(now)s::timestamptz - interval '365 days' * ((%(count)s - n)::float / %(count)s) AS at
    FROM (
      SELECT n, n * 2654435761 / 65536 %% 100000007 AS a, n * 3266489917 / 32768 %% 100000037 AS b,
        n * 668265263 / 8192 %% 100000039 AS c
      FROM generate_series(1::bigint, %(count)s) n
    ) AS scattered
  ) AS placed
) AS made
"""
NUMBERS = """
INSERT INTO messaging_phonenumber (number, status, reason, created_at)
SELECT number, CASE WHEN right(number, 2) = '77' THEN 'inactive' ELSE 'active' END, '', at
FROM (
  SELECT CASE direction WHEN 'inbound' THEN from_number ELSE to_number END AS number, min(created_at) AS at
  FROM messaging_message GROUP BY 1
) AS people
"""
# The start of the newest tenth: what attempts and events belong to.
RECENT = "created_at >= %(now)s::timestamptz - interval '36.5 days'"
ATTEMPTS = f"""
INSERT INTO messaging_deliveryattempt (id, message_id, number, provider_id, claim_id, outcome, error_code, error_detail,
  provider_message_id, look_ups, latency_ms, started_at, finished_at)
SELECT id, id, 1, provider_id, id,
  CASE status WHEN 'sending' THEN 'calling' WHEN 'unknown' THEN 'unknown' WHEN 'failed' THEN 'rejected' ELSE 'accepted' END,
  error_code, '', provider_message_id, CASE WHEN status = 'unknown' THEN 8 ELSE 0 END, 180, created_at,
  CASE WHEN status <> 'sending' THEN created_at + interval '1 second' END
FROM messaging_message WHERE direction = 'outbound' AND attempts > 0 AND {RECENT}
"""  # noqa: S608 (all parts are constants)
# How a message came to its status, step by step.
STEPS = """(VALUES
  ('scheduled', 1, '', 'scheduled'), ('queued', 1, '', 'queued'), ('canceled', 1, '', 'queued'),
  ('canceled', 2, 'queued', 'canceled'), ('sending', 1, '', 'queued'), ('sending', 2, 'queued', 'sending'),
  ('sent', 1, '', 'queued'), ('sent', 2, 'queued', 'sending'), ('sent', 3, 'sending', 'sent'),
  ('delivered', 1, '', 'queued'), ('delivered', 2, 'queued', 'sending'), ('delivered', 3, 'sending', 'sent'),
  ('delivered', 4, 'sent', 'delivered'),
  ('undelivered', 1, '', 'queued'), ('undelivered', 2, 'queued', 'sending'), ('undelivered', 3, 'sending', 'sent'),
  ('undelivered', 4, 'sent', 'undelivered'),
  ('failed', 1, '', 'queued'), ('failed', 2, 'queued', 'sending'), ('failed', 3, 'sending', 'failed'),
  ('unknown', 1, '', 'queued'), ('unknown', 2, 'queued', 'sending'), ('unknown', 3, 'sending', 'unknown'),
  ('stored', 1, '', 'received'), ('stored', 2, 'received', 'stored'),
  ('processed', 1, '', 'received'), ('processed', 2, 'received', 'stored'), ('processed', 3, 'stored', 'processed')
) AS step (status, number, before, after)"""
EVENTS = f"""
INSERT INTO messaging_messageevent (id, message_id, at, from_status, to_status, source, provider_slug, detail)
SELECT (left(id::text, 35) || step.number)::uuid, id, created_at + step.number * interval '1 second', before, after,
  CASE WHEN direction = 'inbound' THEN 'inbound' WHEN step.number = 1 THEN 'api' WHEN step.number = 4 THEN 'receipt'
    ELSE 'dispatch' END,
  CASE WHEN step.number > 2 THEN coalesce(provider_id, '') ELSE '' END, ''
FROM messaging_message JOIN {STEPS} USING (status) WHERE {RECENT} ORDER BY id, step.number
"""  # noqa: S608
# One row an hour and one ever, as `rollups.compact` leaves them.
ROLLUPS = f"""
INSERT INTO messaging_rollup (hour, measure, owner_id, provider_slug, word, count, seconds)
WITH hours AS MATERIALIZED (
  SELECT date_trunc('hour', created_at, 'UTC') AS hour, owner_id, coalesce(provider_id, '') AS provider, direction, status,
    count(*) AS count
  FROM messaging_message GROUP BY 1, 2, 3, 4, 5
), counted AS (
  SELECT hour, 'entered' AS measure, owner_id::bigint AS owner,
    CASE WHEN after IN ('sent', 'delivered', 'undelivered', 'failed', 'unknown') THEN provider ELSE '' END AS provider,
    after AS word, count, (step.number - 1)::float AS seconds
  FROM hours JOIN {STEPS} USING (status)
  UNION ALL
  SELECT hour, 'left', owner_id, '', before, count, 0 FROM hours JOIN {STEPS} USING (status) WHERE before <> ''
  UNION ALL
  SELECT hour, measure, 0, provider, word, count, seconds
  FROM hours JOIN (VALUES
    ('attempt', 'accepted', 0, ARRAY['sent', 'delivered', 'undelivered']), ('attempt', 'rejected', 0, ARRAY['failed']),
    ('attempt', 'unknown', 0, ARRAY['unknown']), ('callback', 'applied', 0, ARRAY['delivered', 'undelivered']),
    ('call', '0.25', 0.18, ARRAY['sent', 'delivered', 'undelivered', 'failed']),
    ('to_sent', '1', 1, ARRAY['sent', 'delivered', 'undelivered']), ('to_delivered', '5', 3, ARRAY['delivered'])
  ) AS seen (measure, word, seconds, statuses) ON status = ANY(statuses)
), summed AS (
  SELECT hour, measure, owner, provider, word, sum(count) AS count, sum(count * seconds) AS seconds
  FROM counted GROUP BY 1, 2, 3, 4, 5
)
SELECT hour, measure, owner, provider, word, count, seconds FROM summed
UNION ALL
SELECT %(ever)s, measure, owner, provider, word, sum(count), sum(seconds) FROM summed GROUP BY 2, 3, 4, 5
"""  # noqa: S608
STAGES = {"messages": MESSAGES, "phone numbers": NUMBERS, "attempts": ATTEMPTS, "events": EVENTS, "rollups": ROLLUPS}
TABLES = ("message", "phonenumber", "deliveryattempt", "messageevent", "rollup")
INDEXES = """
SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid
WHERE i.indrelid = 'messaging_message'::regclass AND c.oid IS NULL
"""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True, help="the name in DATABASE_URL, to be sure")
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("SECRET_KEY", "only for a benchmark")

    import django

    django.setup()
    from django.core.management import call_command

    refuse_wrong_database(options.database)
    call_command("migrate", verbosity=0)
    refuse_messages()
    load(options.rows)


def refuse_wrong_database(name: str) -> None:
    from django.db import connection

    if connection.vendor != "postgresql" or connection.settings_dict["NAME"] != name:
        raise SystemExit(f"DATABASE_URL does not name a PostgreSQL database {name!r}. Nothing has changed.")


def refuse_messages() -> None:
    from messaging.models import Message

    if Message.objects.exists():
        raise SystemExit("The database has messages already. Nothing has changed.")


def load(count: int) -> None:
    from django.db import connection, transaction

    values = prepare(count)
    with transaction.atomic(), connection.cursor() as cursor:
        # Without triggers: a foreign key would be checked for each row, and the rows are made from what they refer to.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        cursor.execute("SET LOCAL work_mem = '256MB'")
        with stage("all rows"), without_indexes(cursor):
            for name, sql in STAGES.items():
                with stage(name):
                    cursor.execute(sql, values)
    with connection.cursor() as cursor, stage("vacuum and statistics"):
        for table in TABLES:
            cursor.execute(f"VACUUM ANALYZE messaging_{table}")


def prepare(count: int) -> dict[str, Any]:
    """Create what the rows refer to, and return the values for the statements."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from messaging.models.rollup import EVER
    from messaging.services import installation
    from providers.models import ProviderAccount, SenderNumber

    installation.install()
    get_user_model().objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    for slug in PROVIDERS:
        ProviderAccount.objects.get_or_create(slug=slug, backend="generic_http", config={"url": "http://127.0.0.1:9/"})
    for number in SENDERS:
        SenderNumber.objects.get_or_create(number=number)
    return {
        "count": count,
        "open": OPEN,
        "people": max(1000, count // 40),
        "owners": [installation.service_user(name).pk for name in OWNERS],
        "senders": list(SENDERS),
        "schedule": SCHEDULE,
        "claim": SCHEDULE,
        "now": timezone.now(),
        "ever": EVER,
    }


@contextmanager
def without_indexes(cursor: Any) -> Iterator[None]:
    """Build the secondary indexes after the rows, which takes a third of the time."""
    cursor.execute(INDEXES)
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    with stage("indexes"):
        for _, definition in indexes:
            cursor.execute(definition)


@contextmanager
def stage(name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
