"""A stack for each module of journeys, and the end of its logs when a journey fails."""

from collections.abc import Generator, Iterator

import pytest

from tests.journeys import stack as stacks


@pytest.fixture(scope="module")
def stack() -> Iterator[stacks.Stack]:
    with stacks.Stack() as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.extend((f"Processes in {running.folder}", running.last_lines()) for running in stacks.running)
    return report
