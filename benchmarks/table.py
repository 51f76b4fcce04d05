"""The common table of all benchmarks, from the results that they left in benchmarks/results.

    python -m benchmarks.table [--write-docs]

`--write-docs` puts it into docs/performance.md, between the two markers there.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.against import HERE
from benchmarks.report import RESULTS

DOCUMENT = HERE / "docs" / "performance.md"
START, END = "<!-- benchmarks: start -->", "<!-- benchmarks: end -->"
NOT_MEASURED = "not measured"
MET = {None: "", True: "yes", False: "no"}

Results = Mapping[str, Mapping[str, Any]]
"""By the name of the benchmark, its JSON."""
Figures = Mapping[str, Mapping[str, float | None]]
"""By row: `now` and `today`."""

IsMet = Callable[[float, float | None], bool | None]


@dataclass(frozen=True)
class Row:
    """`is_met` gets the figure of now and of the older build; it returns None where it needs one that was not measured."""

    key: str
    what: str
    goal: str
    is_met: IsMet
    digits: int = 2


def at_least(limit: float) -> IsMet:
    return lambda now, _today: now >= limit


def at_most(limit: float) -> IsMet:
    return lambda now, _today: now <= limit


def times_today(limit: float) -> IsMet:
    return lambda now, today: None if today is None else now <= today * limit


ROWS = (
    Row("accept_to_bare", "`POST /messages/`, 16 connections ÷ bare view with one insert", "≥ 0.40", at_least(0.4)),
    Row("accept_cpu_to_bare", "the same, CPU of the web processes a request ÷ bare view", "≤ 2.5", at_most(2.5)),
    Row("accept_with_policies", "the same with all policies on ÷ with all off", "≥ 0.85", at_least(0.85)),
    Row("accept_statements", "SQL statements of one accept", "≤ 4", at_most(4)),
    Row("accept_redis", "Redis round trips of one accept", "≤ 1", at_most(1)),
    Row("accept_to_jasmin", "`POST /messages/` ÷ Jasmin's `/send`", "≥ 1", at_least(1)),
    Row("twilio_to_rest", "Twilio's `POST Messages.json` ÷ `POST /messages/`", "≥ 0.9", at_least(0.9)),
    Row("twilio_cpu_to_rest", "the same, CPU of the web processes a request", "≤ 1.1", at_most(1.1)),
    Row("batch_to_kannel", "batch of 1,000 ÷ Kannel's `sendsms`, in messages", "≥ 1", at_least(1)),
    Row("batch_to_today", "batch of 1,000 ÷ the older build, messages a second", "≥ 4", at_least(4)),
    Row("dispatch_to_loop", "dispatch, one worker process, instant carrier ÷ `requests` loop", "≥ 0.6", at_least(0.6)),
    Row("dispatch_cpu_to_loop", "the same, CPU of the worker a message ÷ the loop's a call", "≤ 1.7", at_most(1.7)),
    Row("dispatch_statements", "SQL statements a message in dispatch, full queue", "≤ 0.5", at_most(0.5)),
    Row("slow_carrier", "dispatch, 200 ms carrier, 10,000 messages ÷ (16 calls ÷ 0.2 s)", "≥ 0.85", at_least(0.85)),
    Row("receipts_to_bare", "status webhook, 16 connections ÷ bare view with one insert", "≥ 0.30", at_least(0.3)),
    Row("receipts_cpu_to_bare", "the same, CPU of the web processes a request ÷ bare view", "≤ 3.3", at_most(3.3)),
    Row("journey_cpu", "CPU of all our processes, POST to `delivered` ÷ the older build", "≤ 0.2", at_most(0.2)),
    Row("journey_cpu_ms", "the same in milliseconds a message", "a fifth", times_today(0.2), 1),
    Row("rows_written", "rows written for one message, POST to `delivered`", "half", times_today(0.5), 1),
    Row("latency_p50", "accepted → carrier called, idle, p50, ms", "no worse", times_today(1), 1),
    Row("latency_p99", "accepted → carrier called, idle, p99, ms", "no worse", times_today(1), 1),
    Row(
        "smpp_dispatch_to_loop",
        "dispatch by SMPP, one worker, instant carrier ÷ smpplib loop",
        "≥ 0.5",
        at_least(0.5),
    ),
    Row("smpp_dispatch_far", "the same, carrier that responds after 50 ms, window of 10", "≥ 0.5", at_least(0.5)),
    Row("smpp_server_to_jasmin", "`submit_sm` to our SMPP server ÷ to Jasmin's", "≥ 1", at_least(1)),
    Row("smpp_sessions_mb", "100 idle sessions of the SMPP server, MB", "≤ 20", at_most(20), 1),
    Row("growth_readyz", "`/readyz`, 10,000,000 rows ÷ 10,000 rows", "≤ 1.5", at_most(1.5)),
    Row("growth_metrics", "`/metrics`, the same", "≤ 1.5", at_most(1.5)),
    Row("growth_dashboard", "dashboard, the same", "≤ 1.5", at_most(1.5)),
    Row("growth_lists", "lists by status, the slowest of them, the same", "≤ 1.5", at_most(1.5)),
    Row("growth_search", "search by the start of a number, the slowest, the same", "≤ 1.5", at_most(1.5)),
    Row("fan_out", "fan-out of 1,000,000, messages a second", "≥ 30,000", at_least(30_000), 0),
    Row("fan_out_mb", "its peak memory, MB", "no more", times_today(1), 0),
    Row("idle_cpu", "idle `make run`, CPU over 60 s, % of a core", "≤ 2", at_most(2), 1),
    Row("idle_mb", "RSS of all its processes, MB", "≤ 320", at_most(320), 0),
    Row("second_start", "second `make run` to its banner ÷ the older build", "≤ 0.5", at_most(0.5)),
)
# Measured before this work began; their commands have one side only, or take too long to run on both.
STATED = {
    "growth_readyz": 169.0,
    "growth_metrics": 63.0,
    "growth_dashboard": 15.0,
    "growth_lists": 4.0,
    "growth_search": 6.5,
    "fan_out": 19_944.0,
    "fan_out_mb": 100.0,
    "idle_cpu": 7.7,
    "idle_mb": 469.0,
}


def load() -> dict[str, dict[str, Any]]:
    return {file.stem: json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))}


def figures(results: Results) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {key: {"today": value} for key, value in STATED.items()}
    for content in results.values():
        rows = content.get("rows")
        for key, values in rows.items() if isinstance(rows, dict) else ():
            if isinstance(values, dict):
                found.setdefault(key, {}).update(values)
    for read in (_growth, _fan_out, _idle):
        for key, values in read(results).items():
            found.setdefault(key, {}).update(values)
    return found


def _growth(results: Results) -> Figures:
    ratios = {name: case["ratio"] for name, case in results.get("growth", {}).get("median_ms", {}).items()}
    statuses = [ratio for name, ratio in ratios.items() if name.startswith("API, ") and name.split(": ")[1].isalpha()]
    searches = [ratio for name, ratio in ratios.items() if name.startswith("API, ") and "search, start of" in name]
    found = {
        "growth_readyz": ratios.get("readyz"),
        "growth_metrics": ratios.get("metrics"),
        "growth_dashboard": ratios.get("dashboard"),
        "growth_lists": max(statuses, default=None),
        "growth_search": max(searches, default=None),
    }
    return {key: {"now": value} for key, value in found.items()}


def _fan_out(results: Results) -> Figures:
    rows = results.get("expand_schedule", {}).get("rows", [])
    largest = next((row for row in rows if row["recipients"] == 1_000_000), None)
    if largest is None:
        return {}
    return {
        "fan_out": {"now": largest["messages_per_second"]},
        "fan_out_mb": {"now": largest["expansion_peak_mb"]},
    }


def _idle(results: Results) -> Figures:
    sides = {"now": results.get("idle", {}).get("this"), "today": results.get("idle", {}).get("other")}
    measured = {side: row for side, row in sides.items() if row}
    found: dict[str, dict[str, float | None]] = {
        key: {side: row.get(name) for side, row in measured.items()}
        for key, name in (("idle_cpu", "all cpu %"), ("idle_mb", "all rss mb"))
    }
    if len(measured) == 2:
        start = "second start s"
        found["second_start"] = {"now": measured["now"][start] / measured["today"][start], "today": 1.0}
    return found


def text(results: Results) -> str:
    """The goals and the figures, as a Markdown table; a second one with the gateways beside; and where they were measured."""
    return "\n\n".join((_goals(figures(results)), _gateways(results), _about(results)))


def _goals(found: Figures) -> str:
    lines = ["| what | older build | now | goal | met |", "| --- | --- | --- | --- | --- |"]
    for row in ROWS:
        now, today = (found.get(row.key, {}).get(side) for side in ("now", "today"))
        met = None if now is None else row.is_met(now, today)
        mark = " †" if row.key in STATED and today == STATED[row.key] else ""
        lines.append(
            f"| {row.what} | {_number(today, row.digits)}{mark} | {_number(now, row.digits)} | {row.goal} | {MET[met]} |"
        )
    return "\n".join(lines)


def _gateways(results: Results) -> str:
    names = {
        ("accept", "now"): "Switchboard, one message a request",
        ("accept", "today"): "the same, older build",
        ("batch", "now"): "Switchboard, batches of 1,000",
        ("batch", "today"): "the same, older build",
        ("accept", "jasmin"): "Jasmin 0.11.1, `/send`",
        ("batch", "kannel"): "Kannel 1.4.5, `sendsms`",
        ("accept", "bare"): "bare Django view with one insert",
    }
    lines = ["| accepted by | messages a second | CPU ms a message |", "| --- | --- | --- |"]
    for (benchmark, side), name in names.items():
        measured = results.get(benchmark, {}).get("medians", {}).get(side, {})
        lines.append(f"| {name} | {_number(measured.get('per_second'), 0)} | {_number(measured.get('cpu_ms'), 2)} |")
    return "\n".join(lines)


def _about(results: Results) -> str:
    """The conditions of the newest result that tells them."""
    told = [content for content in results.values() if "revisions" in content]
    if not told:
        return "Nothing was measured."
    newest = max(told, key=lambda content: str(content["measured_at"]))
    machine, versions = newest["machine"], ", ".join(f"{name} {each}" for name, each in newest["versions"].items())
    revisions = ", ".join(f"{side}: {revision}" for side, revision in newest["revisions"].items())
    load = ", ".join(f"{each:.1f}" for each in machine["load"])
    quick = " With `--quick`: one short round, which proves nothing." if newest.get("options", {}).get("quick") else ""
    return (
        f"Measured {newest['measured_at'][:10]} on {machine['cores']} cores ({machine['cpu']}), "
        f"{machine['memory_gb']} GB; load {load}. Revisions: {revisions}. {versions}.{quick}"
    )


def _number(value: float | None, digits: int) -> str:
    return NOT_MEASURED if value is None else f"{value:,.{digits}f}"


def with_table(document: str, table: str) -> str:
    """The document with the table between its markers. Raises `ValueError` if one of them is missing."""
    before, start, rest = document.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"{START} and {END} are not both in the document")
    return f"{before}{START}\n{table}\n{END}{after}"


def write_docs(document: Path = DOCUMENT) -> None:
    document.write_text(with_table(document.read_text(), text(load())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-docs", action="store_true", help=f"write it into {DOCUMENT.relative_to(HERE)}")
    if parser.parse_args().write_docs:
        write_docs()
    print(text(load()))


if __name__ == "__main__":
    main()
