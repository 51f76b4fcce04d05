"""Loaded before everything else (`-p tests.plugin` in pyproject.toml): pytest-django reads the settings early."""

import gc
from pathlib import Path
from typing import Any

import pytest

from tests import generated, tiers
from tests.environment import GIVEN_DATABASE_URL, TestEnvironment

ENVIRONMENT = TestEnvironment()
_last: dict[str, Path] = {}
gc.set_threshold(
    50_000, 20, 50
)  # the usual 700 objects are made by one request; collecting took a thirtieth of the time


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tiers",
        metavar="NAME,NAME",
        type=tiers.parse,
        help=f"run only tests of these tiers: {', '.join(tiers.COMMANDS)}; what the command line names runs in any case",
    )


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # of pytest-xdist: it is told what the first process has decided
        config.option.tiers = config.workerinput["tiers"]
    elif config.option.tiers is None or config.args_source is pytest.Config.ArgsSource.ARGS:
        config.option.tiers = list(tiers.COMMANDS)
    if {tiers.FUZZ, tiers.GENERATED} & set(config.option.tiers):
        generated.use_all()
    if tiers.FUZZ in config.option.tiers:
        config.pluginmanager.import_plugin(
            "schemathesis.pytest.plugin"
        )  # switched off in pyproject.toml: it costs a second


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["tiers"] = node.config.option.tiers


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import a file that has no test to run."""
    is_of_tests = collection_path.is_dir() or collection_path.name.startswith("test_")
    return True if is_of_tests and not tiers.in_path(collection_path) & set(config.option.tiers) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if tiers.of_item(item) == tiers.PURE and tiers.uses_database(item):
            raise pytest.UsageError(f"{item.nodeid} uses the database: tests/tiers.py must not list it as `pure`")
    left_out = [item for item in items if not tiers.is_selected(item, config.option.tiers)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if tiers.is_selected(item, config.option.tiers)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is alive when a file begins stays: a full collection, which some tests ask for, does not go over it."""
    if item.path != _last.get("path"):
        _last["path"] = item.path
        gc.collect()
        gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in tiers.not_run(config.option.tiers, on_postgresql=bool(GIVEN_DATABASE_URL)):
        terminalreporter.write_line(line)


def pytest_xdist_setupnodes() -> None:
    """In the process that only hands out the tests: those that run them bring environments of their own."""
    ENVIRONMENT.give_back()


def pytest_unconfigure() -> None:
    ENVIRONMENT.close()
