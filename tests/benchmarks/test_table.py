from pathlib import Path

import pytest

from benchmarks import table

ACCEPT = {
    "measured_at": "2026-11-30T12:00:00+00:00",
    "machine": {"cpu": "A made-up CPU", "cores": 2, "memory_gb": 23.5, "load": [1.5, 1.0, 0.5]},
    "versions": {"Python": "3.11.7", "PostgreSQL": "15.20", "Redis": "7.0.15"},
    "revisions": {"now": "abc1234", "today": "c3c8dc1"},
    "rows": {"accept_to_bare": {"now": 0.41, "today": 0.1}, "rows_written": {"now": 9.0, "today": 16.0}},
    "medians": {"now": {"per_second": 246.4, "cpu_ms": 4.0}, "jasmin": {"per_second": 900.0, "cpu_ms": 1.0}},
}


def line_of(text: str, what: str) -> list[str]:
    [line] = [line for line in text.splitlines() if line.startswith(f"| {what} ")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_table_has_both_builds_the_goal_and_whether_it_is_met() -> None:
    text = table.text({"accept": ACCEPT})

    assert line_of(text, "`POST /messages/`, 16 connections ÷") == ["0.10", "0.41", "≥ 0.40", "yes"]
    assert line_of(text, "rows written for one message,") == ["16.0", "9.0", "half", "no"]
    assert line_of(text, "SQL statements of one accept") == ["not measured", "not measured", "≤ 4", ""]


def test_a_goal_beside_the_older_build_is_not_judged_without_it() -> None:
    text = table.text({"latency": {"rows": {"latency_p50": {"now": 41.0}}}})

    assert line_of(text, "accepted → carrier called, idle, p50,") == ["not measured", "41.0", "no worse", ""]


def test_figures_from_before_the_work_are_marked() -> None:
    assert line_of(table.text({"accept": ACCEPT}), "`/readyz`,") == ["169.00 †", "not measured", "≤ 1.5", ""]


def test_the_gateways_are_beside_and_the_conditions_below() -> None:
    text = table.text({"accept": ACCEPT})

    assert line_of(text, "Switchboard, one message a request") == ["246", "4.00"]
    assert line_of(text, "Jasmin 0.11.1,") == ["900", "1.00"]
    assert line_of(text, "Kannel 1.4.5,") == ["not measured", "not measured"]
    assert text.splitlines()[-1] == (
        "Measured 2026-11-30 on 2 cores (A made-up CPU), 23.5 GB; load 1.5, 1.0, 0.5. Revisions: now: abc1234, today: c3c8dc1. "
        "Python 3.11.7, PostgreSQL 15.20, Redis 7.0.15."
    )


def test_results_of_the_other_commands_are_read() -> None:
    cases = {
        "readyz": {"ratio": 1.1},
        "metrics": {"ratio": 1.2},
        "dashboard": {"ratio": 1.3},
        "API, owner: queued": {"ratio": 1.4},
        "API, staff: failed": {"ratio": 9.0},
        "API, staff: deepest page": {"ratio": 50.0},
        "API, owner: search, start of few numbers": {"ratio": 0.9},
    }
    results = {
        "growth": {"rows": {"small": 10_000, "large": 10_000_000}, "median_ms": cases},
        "expand_schedule": {
            "rows": [{"recipients": 1_000_000, "messages_per_second": 31_000, "expansion_peak_mb": 99}]
        },
        "idle": {
            "this": {"all cpu %": 1.9, "all rss mb": 300.0, "second start s": 2.0},
            "other": {"all cpu %": 7.0, "all rss mb": 470.0, "second start s": 5.0},
        },
    }

    found = table.figures(results)

    assert {key: found[key]["now"] for key in found if key.startswith("growth")} == {
        "growth_readyz": 1.1,
        "growth_metrics": 1.2,
        "growth_dashboard": 1.3,
        "growth_lists": 9.0,
        "growth_search": 0.9,
    }
    assert (found["fan_out"]["now"], found["fan_out_mb"]["now"]) == (31_000, 99)
    assert found["idle_cpu"] == {"today": 7.0, "now": 1.9}
    assert found["second_start"]["now"] == 0.4


def test_the_table_replaces_what_is_between_the_markers_and_nothing_else(tmp_path: Path) -> None:
    document = f"# Performance\n\n{table.START}\nold\n{table.END}\n\n## How\n"

    written = table.with_table(document, "new")

    assert written == f"# Performance\n\n{table.START}\nnew\n{table.END}\n\n## How\n"
    with pytest.raises(ValueError, match="are not both in the document"):
        table.with_table("# Performance\n", "new")


def test_the_document_has_the_markers_and_all_results_that_are_kept_can_be_read() -> None:
    assert table.with_table(table.DOCUMENT.read_text(), "").startswith("# Performance")
    assert table.text(table.load())


def test_each_row_has_a_name_of_its_own_and_what_was_stated_belongs_to_a_row() -> None:
    keys = [row.key for row in table.ROWS]

    assert len(keys) == len(set(keys))
    assert table.STATED.keys() <= set(keys)
