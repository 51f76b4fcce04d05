"""The supervisor with real, minimal processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.run.child import Child
from config.run.commands import Command
from config.run.supervisor import PAUSES, STEADY_SECONDS, Supervisor

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Family:
    """Child processes and their output."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[tuple[str, str]] = []
        self.children: list[Child] = []
        self._folder = folder

    def child(self, code: str, *, name: str = "one", stop_seconds: float = 5.0) -> Child:
        command = Command(name, (sys.executable, "-c", code), stop_seconds=stop_seconds)
        self.children.append(Child(command, os.environ, self._folder, lambda *line: self.lines.append(line)))
        return self.children[-1]


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    made = Family(tmp_path)
    yield made
    for child in made.children:
        child.kill()
        child.wait(5)


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def never() -> bool:
    return False


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_the_last_process_that_was_started_is_stopped_first(family: Family) -> None:
    says_goodbye = (
        "import signal, sys, time\n"
        "signal.signal(15, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
        "print('up', flush=True); time.sleep(60)"
    )
    supervisor = Supervisor(lambda _text: None)
    for name in ("broker", "worker", "beat"):
        supervisor.add(family.child(says_goodbye, name=name))
    eventually(lambda: len(family.lines) == 3)

    supervisor.stop(forced=never)

    assert [name for name, text in family.lines if text == "bye"] == ["beat", "worker", "broker"]


def test_a_process_that_does_not_stop_in_time_is_killed(family: Family) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    child = family.child(STUBBORN, stop_seconds=0.2)
    supervisor.add(child)
    eventually(lambda: bool(family.lines))

    supervisor.stop(forced=never)

    assert said == ["one did not stop in time and is killed"]
    assert child.exit_code() == -signal.SIGKILL


def test_a_second_signal_does_not_wait_for_the_processes(family: Family) -> None:
    supervisor = Supervisor(lambda _text: None)
    child = family.child(STUBBORN, stop_seconds=60)
    supervisor.add(child)
    eventually(lambda: bool(family.lines))

    supervisor.stop(forced=lambda: True)

    assert child.exit_code() == -signal.SIGKILL


def test_a_process_that_ends_is_restarted_after_a_pause(family: Family) -> None:
    clock, said = Clock(), []
    supervisor = Supervisor(said.append, clock=clock)
    child = family.child("import sys; sys.exit(3)")
    supervisor.add(child)
    first = child.pid
    assert child.wait(10)

    all_running = supervisor.check()
    clock.now += PAUSES[0] - 0.1
    supervisor.check()
    before_the_pause_is_over = child.pid
    clock.now += 0.2
    supervisor.check()

    assert all_running
    assert said == ["one ended (exit code 3); restarting it in 1 s"]
    assert before_the_pause_is_over == first
    assert child.pid != first


def test_the_supervisor_gives_up_on_a_process_that_keeps_ending(family: Family) -> None:
    clock, said = Clock(), []
    supervisor = Supervisor(said.append, clock=clock)
    child = family.child("import os; os.kill(os.getpid(), 9)")
    supervisor.add(child)
    for pause in PAUSES:
        assert child.wait(10)
        assert supervisor.check()
        clock.now += pause
        assert supervisor.check()
    assert child.wait(10)

    all_running = supervisor.check()

    assert not all_running
    assert said[-1] == "one ended again (signal 9); giving up"
    assert len(said) == len(PAUSES) + 1


def test_a_process_that_ran_for_long_gets_the_short_pause_again(family: Family) -> None:
    clock, said = Clock(), []
    supervisor = Supervisor(said.append, clock=clock)
    child = family.child("import sys; sys.exit(3)")
    supervisor.add(child)
    for pause in PAUSES[:2]:
        assert child.wait(10)
        supervisor.check()
        clock.now += pause
        supervisor.check()
    assert child.wait(10)
    clock.now += STEADY_SECONDS + 1

    supervisor.check()

    assert said[-1] == "one ended (exit code 3); restarting it in 1 s"


def test_output_is_read_line_by_line_whatever_it_is(family: Family) -> None:
    child = family.child(
        "import os; os.write(1, b'caf\\xc3\\xa9\\n\\xff broken\\nno line end'); os.write(2, b' at all')"
    )

    child.start()

    assert child.wait(10)
    assert family.lines == [("one", "café"), ("one", "\ufffd broken"), ("one", "no line end at all")]


def test_what_a_process_leaves_in_its_session_is_ended_with_it(family: Family) -> None:
    leaves_a_child = (
        "import subprocess, sys\n"
        f"left = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}], stdout=subprocess.DEVNULL)\n"
        "print(left.pid, flush=True)"
    )
    child = family.child(leaves_a_child)

    child.start()
    eventually(lambda: bool(family.lines))
    left = int(family.lines[0][1])
    eventually(lambda: child.exit_code() == 0)

    eventually(lambda: not is_alive(left))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from config.run.child import Child\n"
        "from config.run.commands import Command\n"
        f"child = Child(Command('one', (sys.executable, '-c', {SLEEPER!r})), os.environ, Path('.'), lambda *_: None)\n"
        "child.start()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as supervisor:
        pid = int(supervisor.stdout.readline())
        assert is_alive(pid)

        supervisor.kill()

    eventually(lambda: not is_alive(pid))
