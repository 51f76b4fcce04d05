"""How much slower pages and endpoints are with many messages than with few. Goal: 1.5 times at most, at 10 million and 10,000.

    python -m benchmarks.growth --small postgresql://…/SMALL --large postgresql://…/LARGE [--rounds 5] [--only TEXT] [--plans]

`benchmarks.load_rows` fills both databases. Each has a process of its own, in which requests go through all of Django without
a server; the two take turns. Printed are medians in milliseconds, their ratio, and with `--plans` what the large database
does for each statement that takes longer than `SLOW_MS`. Only reads, apart from the tokens of two users.

With PostgreSQL on this machine, times are those that the processors spent on a request, in this program and in PostgreSQL:
other programs hardly disturb them. Otherwise, and with `--wall`, they are what a client waits.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

GOAL = 1.5
SLOW_MS = 5.0
RESULT = Path(__file__).parent / "results" / "growth.json"
STATUSES = (
    "scheduled queued sending sent delivered undelivered failed unknown canceled received stored processed".split()  # noqa: SIM905
)
API, CONSOLE = "/api/v1/messages/", "/admin/messaging/message/"
SEARCHES = {
    "a number": "%2B14152000123",
    "start of few numbers": "%2B141520001",
    "start of many numbers": "%2B1415",
    "start of no number": "%2B99",
    "start of our senders": "%2B15005",
    "start of a reference": "order-77",
}
OPERATING = {
    "readyz": "/readyz",
    "healthz/system": "/healthz/system",
    "metrics": "/metrics",
    "dashboard": "/admin/",
    "dashboard, live": "/admin/live/",
}
LISTS = {
    "all": "",
    "by key": "cursor=",
    "inbound": "direction=inbound",
    "two statuses": "status=sent&status=failed",
    "queue": "queue=paced",
    "provider": "provider=bench1",
    "from our sender": "from=%2B15005550006",
    "deepest page": "offset=9990",
}


def cases() -> dict[str, tuple[str, str]]:
    """Name → who asks, and for which path."""
    found = {name: ("staff", path) for name, path in OPERATING.items()}
    for who in ("owner", "staff"):
        for name, query in LISTS.items():
            found[f"API, {who}: {name}"] = (who, f"{API}?{query}")
        for status in STATUSES:
            found[f"API, {who}: {status}"] = (who, f"{API}?status={status}")
        for name, text in SEARCHES.items():
            found[f"API, {who}: search, {name}"] = (who, f"{API}?search={text}")
    found["console: all"] = ("staff", CONSOLE)
    for status in STATUSES:
        found[f"console: {status}"] = ("staff", f"{CONSOLE}?status__exact={status}")
    for name, text in SEARCHES.items():
        found[f"console: search, {name}"] = ("staff", f"{CONSOLE}?q={text}")
    found["console: numbers"] = ("staff", "/admin/messaging/phonenumber/")
    found["console: numbers, search"] = ("staff", "/admin/messaging/phonenumber/?q=%2B14152000")
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", required=True, help="address of the database with few messages")
    parser.add_argument("--large", required=True, help="address of the database with many")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="measure only the cases with this text in their names")
    parser.add_argument("--wall", action="store_true", help="measure what a client waits")
    parser.add_argument("--plans", action="store_true", help="print the plans of slow statements")
    options = parser.parse_args(arguments)
    asked = {name: case for name, case in cases().items() if options.only in name}
    with client(options.small) as small, client(options.large) as large:
        clock = "wall" if options.wall or not (small({"do": "local"}) and large({"do": "local"})) else "cpu"
        rows = {"small": small({"do": "rows"}), "large": large({"do": "rows"})}
        result = measure(asked, small, large, clock=clock, rounds=options.rounds)
        print(f"{clock} time, {options.rounds} rounds")
        report(result, rows)
        if options.plans:
            show_plans(asked, large)
    if not options.only:
        found = {"rows": rows, "clock": clock, "rounds": options.rounds, "median_ms": result}
        RESULT.write_text(json.dumps(found, indent=1) + "\n")


def measure(
    asked: dict[str, tuple[str, str]], small: Callable[..., Any], large: Callable[..., Any], *, clock: str, rounds: int
) -> dict[str, dict[str, float]]:
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in asked}
    for turn in range(rounds + 1):
        for name, case in asked.items():
            pair = [ask({"do": clock, "case": case}) for ask in (small, large)]
            if turn:  # the first one warms up
                for series, taken in zip(times[name], pair, strict=True):
                    series.append(taken)
    medians = {name: [statistics.median(series) for series in pair] for name, pair in times.items()}
    return {name: {"small": a, "large": b, "ratio": round(b / a, 2)} for name, (a, b) in medians.items()}


def report(result: dict[str, dict[str, float]], rows: dict[str, int]) -> None:
    print(f"{'':44} {rows['small']:>12,} {rows['large']:>12,}    ratio")
    for name, row in result.items():
        mark = "" if row["ratio"] <= GOAL else "  <--"
        print(f"{name:44} {row['small']:9.1f} ms {row['large']:9.1f} ms {row['ratio']:8.2f}{mark}")


def show_plans(asked: dict[str, tuple[str, str]], large: Callable[..., Any]) -> None:
    for name, case in asked.items():
        for milliseconds, sql, plan in large({"do": "plans", "case": case}):
            print(f"\n--- {name}: {milliseconds:.1f} ms\n{shortened(sql)}\n{plan}")


def shortened(sql: str) -> str:
    """Without the long lists of columns."""
    return re.sub(r'SELECT ("[a-z_]+"\."[a-z_]+", ){4,}.*? FROM ', "SELECT … FROM ", sql)[:1500]


@contextmanager
def client(address: str) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Start a process for this database; yield a function that asks it and returns its answer."""
    environment = {**os.environ, "DATABASE_URL": address, "SECRET_KEY": "only for a benchmark"}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.growth", "serve"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    questions, answers = process.stdin, process.stdout

    def ask(question: dict[str, Any]) -> Any:
        questions.write(json.dumps(question) + "\n")
        questions.flush()
        answer = answers.readline()
        if not answer:
            raise SystemExit(f"the process for {address} has ended")
        return json.loads(answer)

    try:
        yield ask
    finally:
        questions.close()
        process.wait(timeout=60)


# --- In the process of one database -----------------------------------------------------------------------------------


def serve() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

    import django

    django.setup()
    from django.conf import settings

    settings.ALLOWED_HOSTS = ["testserver"]
    clients = {"owner": client_of("large"), "staff": client_of("bench")}
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), clients)), flush=True)


def client_of(username: str) -> Any:
    """A client of the API by token and of the console by session."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    from messaging.models import ApiToken

    user = get_user_model().objects.get(username=username)
    _, token = ApiToken.objects.create(user=user, expiry=timedelta(hours=1), name="benchmark")
    made = Client(headers={"authorization": f"Bearer {token}"})
    made.force_login(user)
    return made


def answer(question: dict[str, Any], clients: dict[str, Any]) -> Any:
    if question["do"] == "rows":
        from messaging.models import Message

        return Message.objects.count()
    if question["do"] == "local":
        return backend().exists()
    who, path = question["case"]
    if question["do"] == "plans":
        return plans(clients[who], path)
    return milliseconds(clients[who], path, clock=time.perf_counter if question["do"] == "wall" else cpu_clock())


def backend() -> Path:
    """The account that Linux keeps of the PostgreSQL process of our connection; missing if it is on another machine.

    Statements must not have help of other processes, whose time would be missing.
    """
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SELECT pg_backend_pid()")
        return Path(f"/proc/{cursor.fetchone()[0]}/schedstat")


def cpu_clock() -> Callable[[], float]:
    """A clock of the seconds that this process and its PostgreSQL process have computed."""
    account = backend()
    return lambda: time.process_time() + int(account.read_text().split()[0]) / 1e9


def milliseconds(asking: Any, path: str, *, clock: Callable[[], float]) -> float:
    started = clock()
    response = asking.get(path)
    b"".join(response)
    taken = (clock() - started) * 1000
    if response.status_code not in {200, 503}:  # an unhealthy system answers 503
        raise SystemExit(f"{path}: {response.status_code}")
    return round(taken, 2)


def plans(asking: Any, path: str) -> list[tuple[float, str, str]]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        milliseconds(asking, path, clock=time.perf_counter)
    found = []
    for query in queries:
        taken = float(query["time"]) * 1000
        if taken >= SLOW_MS and query["sql"].startswith(("SELECT", "(SELECT", "WITH")):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {query['sql']}")
                found.append((taken, query["sql"], "\n".join(line for [line] in cursor.fetchall())))
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        main()
