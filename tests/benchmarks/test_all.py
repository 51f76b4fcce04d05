"""`make benchmark` without a measurement: options, the report it writes, and what one failure does to the others."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import all as every
from benchmarks import bench, report
from benchmarks.against import TODAY
from benchmarks.report import Report
from benchmarks.rounds import Rounds


def test_the_options_have_defaults_and_quick_is_one_short_round() -> None:
    assert bench.parse([], "") == bench.Options(against=TODAY, rounds=5, seconds=3.0)
    assert bench.parse(["--against", "v1", "--rounds", "9"], "") == bench.Options("v1", 9, 3.0)
    quick = bench.parse(["--quick", "--against", ""], "")
    assert (quick.against, quick.rounds, quick.few(2_000), quick.few(20)) == ("", 1, 200, 10)


def test_an_unknown_option_or_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--only", "nothing"], ["--swift"]):
        with pytest.raises(SystemExit):
            every.main(arguments)
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


def test_a_benchmark_that_fails_loses_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved: list[str] = []
    monkeypatch.setattr(every, "save", lambda name, _report, _bench: saved.append(name))

    def broken(_bench: bench.Bench) -> Report:
        raise RuntimeError("no carrier")

    done = [every.run(name, measure, None) for name, measure in {"a": broken, "b": lambda _: Report()}.items()]

    assert done == [False, True]
    assert saved == ["b"]
    assert "a failed" in capsys.readouterr().err


def test_a_benchmark_that_hangs_is_ended_and_the_alarm_is_taken_back() -> None:
    earlier = signal.getsignal(signal.SIGALRM)

    with pytest.raises(TimeoutError, match="not done after 600 s"), every.deadline(600):
        signal.raise_signal(signal.SIGALRM)

    assert signal.getsignal(signal.SIGALRM) == earlier
    assert signal.alarm(0) == 0


def test_the_report_has_rounds_medians_hardware_load_and_versions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(report.databases, "server_version", lambda: "15.20")
    rounds = Rounds()
    for number in (1.0, 3.123456, 2.0):
        rounds.add("now", {"per_second": number})
    found = Report(rounds, rows={"accept_to_bare": {"now": 0.4}}, left_out={"kannel": "not installed"})

    file = report.write("accept", found, revisions={"now": "abc"}, options={"rounds": 3}, broker={"Redis": "7.0.15"})

    content = json.loads(file.read_text())
    assert file == tmp_path / "results" / "accept.json"
    assert content["rounds"] == {"now": {"per_second": [1.0, 3.123, 2.0]}}
    assert content["medians"] == {"now": {"per_second": 2.0}}
    assert content["rows"] == {"accept_to_bare": {"now": 0.4}}
    assert content["left_out"] == {"kannel": "not installed"}
    assert content["machine"].keys() == {"cpu", "cores", "memory_gb", "kernel", "load"}
    assert content["versions"].keys() >= {"Python", "Django", "granian", "PostgreSQL", "Redis"}


def test_a_row_of_the_table_has_each_build() -> None:
    builds = [SimpleNamespace(name="now"), SimpleNamespace(name="today")]

    row = bench.Bench(bench.Options(), builds, None).by_build({"now": 1.0, "today": 2.0}.get)

    assert row == {"now": 1.0, "today": 2.0}
