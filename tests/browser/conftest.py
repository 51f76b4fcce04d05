"""Chromium against a running system, with a logged-in user. Errors and warnings in the browser's console fail the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.journeys.conftest import pytest_runtest_makereport, stack

__all__ = ["pytest_runtest_makereport", "stack"]

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS = 60_000
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = str(CHROMIUM) if CHROMIUM.exists() else None  # None: Playwright's own browser, if installed
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


class ConsoleMessages:
    """Collects messages of the browser's console: policy violations, script errors, failed loads."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def listen(self, page: Page) -> None:
        page.on("console", lambda message: self._note(page, message.type, message.text))
        page.on("pageerror", lambda error: self._note(page, "error", str(error)))

    def _note(self, page: Page, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.lines.append(f"{page.url}: {text}")


def logged_in(browser: Browser, stack, messages: ConsoleMessages, **options) -> tuple[BrowserContext, Page]:
    context = browser.new_context(base_url=stack.base_url, **options)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    messages.listen(page)
    page.goto("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill((stack.folder / "admin_password").read_text().strip())
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")
    return context, page


@pytest.fixture(scope="module")
def desk(browser: Browser, stack) -> Iterator[Page]:
    """A page with one log-in for the whole module."""
    messages = ConsoleMessages()
    context, page = logged_in(browser, stack, messages, viewport={"width": 1440, "height": 900})
    yield page
    context.close()
    assert messages.lines == []
