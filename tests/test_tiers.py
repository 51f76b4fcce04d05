"""Every entry of the table of tiers names something, and the commands together run every test."""

import ast
import re
from pathlib import Path

import pytest

from tests import tiers

ROOT = tiers.TESTS.parent
MAKEFILE, CI = (ROOT / "Makefile").read_text(), (ROOT / ".ci" / "run").read_text()


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_entry_names_tests() -> None:
    for entry in tiers.TIER_OF:
        path, _, function = entry.partition("::")
        assert (tiers.TESTS / path).exists(), entry
        assert not function or function in functions_of(tiers.TESTS / path), entry


@pytest.mark.parametrize(
    ("path", "function", "tier"),
    [
        ("messaging/test_states.py", "test_one", tiers.PURE),
        ("media_store/validation/test_new.py", "test_one", tiers.PURE),
        ("media_store/validation/test_memory.py", "test_one", tiers.MEMORY),
        ("messaging/test_new.py", "test_one", tiers.DATABASE),
        ("config/admin/test_theme.py", "test_one", tiers.EITHER),
        ("journeys/chaos/test_faults.py", "test_one", tiers.JOURNEYS),
        ("journeys/test_make_run.py", "test_one", tiers.EMBEDDED),
        ("journeys/load/test_new.py", "test_one", tiers.DEPLOYED),
        (*tiers._ENTRIES[tiers.SMOKE][0].split("::"), tiers.SMOKE),
    ],
)
def test_the_longest_entry_decides(path: str, function: str, tier: str) -> None:
    assert tiers.of_path(tiers.TESTS / path, function) == tier


def test_a_file_is_imported_if_one_of_its_tests_runs() -> None:
    assert tiers.in_path(tiers.TESTS / "journeys" / "test_make_run.py") == {tiers.JOURNEYS, tiers.EMBEDDED, tiers.SMOKE}
    assert tiers.in_path(tiers.TESTS / "messaging" / "api") == {
        tiers.DATABASE,
        tiers.EITHER,
        tiers.FUZZ,
        tiers.GENERATED,
    }
    assert tiers.in_path(tiers.TESTS / "messaging" / "test_states.py") == {tiers.PURE}


def tiers_of_target(name: str) -> set[str]:
    """All tiers that one of the Makefile's targets runs, on whatever database."""
    [recipe] = re.findall(rf"^{name}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    variables = dict(re.findall(r"^(TIERS_\w+) := (\S+)$", MAKEFILE, re.MULTILINE))
    named = re.findall(r"\$\((TIERS_\w+)\)", recipe)
    assert named
    return {tier for variable in named for tier in tiers.parse(variables[variable])}


def test_each_tier_is_run_by_the_command_that_is_said_to() -> None:
    for tier, command in tiers.COMMANDS.items():
        assert tier in tiers_of_target(command.removeprefix("make ")), tier


def test_ci_runs_all_tiers_and_twice_those_that_depend_on_the_database() -> None:
    runs = re.findall(r"^(.*)make (test|journeys)(?: WORKERS=\d)?(?: TIERS=(\S+))?$", CI, re.MULTILINE)
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for before, target, named in runs:
        found["DATABASE_URL=" in before] |= set(tiers.parse(named)) if named else tiers_of_target(target)

    assert found[False] == set(tiers.COMMANDS) - tiers.ON_POSTGRESQL_IN_CI
    assert found[True] == tiers.ON_BOTH_DATABASES | tiers.ON_POSTGRESQL_IN_CI


def test_what_make_test_runs_with_a_part_of_its_examples_is_run_with_all_by_another_command() -> None:
    for entry in tiers.SAMPLED:
        assert tiers.TIER_OF[entry] in {tiers.FUZZ, tiers.GENERATED}
        text = (tiers.TESTS / entry.partition("::")[0]).read_text()
        assert "examples(" in text or "some(" in text, entry


def test_what_runs_on_one_database_knows_neither() -> None:
    names = re.compile(r"postgres|sqlite|transactional_db|transaction=True|\.vendor", re.IGNORECASE)

    for entry in tiers._ENTRIES[tiers.EITHER]:
        assert not names.search((tiers.TESTS / entry).read_text()), entry


def test_what_was_not_run_is_said_with_the_command() -> None:
    assert tiers.not_run([tiers.PURE, tiers.EITHER, tiers.DATABASE, tiers.SMOKE], on_postgresql=False) == [
        "Not run: processes, fuzz, generated, memory, migrations (make test-all runs them)",
        "Not run: journeys, embedded, deployed, browser (make journeys runs them)",
        "Not run: anything on PostgreSQL and Redis (DATABASE_URL=… REDIS_URL=… make test-all)",
    ]
    assert tiers.not_run(list(tiers.COMMANDS), on_postgresql=False) == []


def test_an_unknown_tier_is_refused() -> None:
    with pytest.raises(ValueError, match="not a tier: fast"):
        tiers.parse("pure,fast")
