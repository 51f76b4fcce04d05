import os
import subprocess
import sys

from messaging.smpp_connector import holder
from providers.models import SmppBind


def replaced(name: str, place: int, value: str) -> str:
    parts = name.split(holder.SEPARATOR)
    parts[place] = value
    return holder.SEPARATOR.join(parts)


def test_two_names_differ_and_fit_their_column() -> None:
    assert holder.new_name() != holder.new_name()
    assert len(holder.new_name()) <= SmppBind._meta.get_field("holder").max_length


def test_a_process_that_runs_is_not_dead() -> None:
    assert not holder.is_dead(replaced(holder.new_name(), 2, str(os.getppid())))


def test_a_process_that_has_ended_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert holder.is_dead(replaced(holder.new_name(), 2, str(process.pid)))


def test_a_predecessor_with_the_own_process_id_is_dead() -> None:
    assert holder.is_dead(holder.new_name())


def test_nothing_is_known_of_processes_elsewhere() -> None:
    elsewhere = replaced(replaced(holder.new_name(), 1, "another"), 2, "999999999")
    assert not holder.is_dead(elsewhere)
    assert not holder.is_dead("")
    assert not holder.is_dead("a/b")


def test_where_the_machine_cannot_be_told_nothing_is_dead(monkeypatch) -> None:
    monkeypatch.setattr(holder, "_machine", lambda: "")
    assert not holder.is_dead(holder.new_name())
