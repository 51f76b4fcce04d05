"""Screenshots of every page of the console in Chromium, light and dark, on a desktop and on a phone. Stored in build/.

Each page must fit the window, log nothing in the browser's console (errors, policy violations), send no request to another
host, and have no failed request.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, Request, Response

from config.run.environment import BASE_DIR
from tests.browser import demo
from tests.browser.conftest import TIMEOUT_MS, ConsoleMessages

SCREENSHOTS = BASE_DIR / "build" / "screenshots"
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
VARIANTS = [(WIDE, "light"), (WIDE, "dark"), (PHONE, "dark"), (PHONE, "light")]
TALLEST = 4_000
# Pages outside the console follow the system's colour scheme. In the console users choose it.
SHOW = """async ([theme, width]) => {
  if (window.Alpine) {
    localStorage.setItem("_x_adminTheme", JSON.stringify(theme));
    Alpine.$data(document.documentElement).switchTheme(theme);
  }
  await document.fonts.ready;
  const page = document.documentElement;
  // The page is resized shortly after the window, and elements that compute their own size, like the chart, after that.
  for (let tries = 0; tries < 100 && (innerWidth !== width || page.scrollWidth > page.clientWidth); tries++) {
    await new Promise((go) => setTimeout(go, 50));
  }
  return {height: page.scrollHeight, wide: page.scrollWidth, room: page.clientWidth};
}"""


@pytest.fixture(scope="session", autouse=True)
def _queries_beside_a_browser() -> Iterator[None]:
    """Playwright runs an event loop in this thread, so Django would refuse our queries as made in a coroutine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@dataclass
class Camera:
    page: Page
    host: str
    wrong: list[str] = field(default_factory=list)
    expected_status: int = 200
    messages: ConsoleMessages = field(default_factory=ConsoleMessages)

    def __post_init__(self) -> None:
        self.messages.listen(self.page)
        self.page.on("request", self._requested)
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    def visit(self, name: str, path: str, *, status: int = 200) -> None:
        self.open(name, path, status=status)
        self.take(name)

    def open(self, name: str, path: str, *, status: int = 200) -> None:
        """Open a page without taking a screenshot."""
        self.expected_status = status
        response = self.page.goto(path, wait_until="load")
        if response.status != status:
            self.wrong.append(f"{name}: {response.status} instead of {status}")
        self._note_messages(name)

    def take(self, name: str) -> None:
        for size, theme in VARIANTS:
            self.page.set_viewport_size(size)
            self.page.emulate_media(color_scheme=theme)
            found = self.page.evaluate(SHOW, [theme, size["width"]])
            if found["wide"] > found["room"]:
                self.wrong.append(f"{name}: {found['wide']} of {found['room']} pixels")
            if found["height"] > size["height"]:  # sticky elements must not cover the middle of the screenshot
                self.page.set_viewport_size({**size, "height": min(found["height"], TALLEST)})
            file = SCREENSHOTS / f"{name}-{size['width']}-{theme}.jpeg"
            self.page.screenshot(path=file, type="jpeg", quality=80, animations="disabled")
        self._note_messages(name)

    def _note_messages(self, name: str) -> None:
        self.wrong += [f"{name}: {line}" for line in self.messages.lines if not self._is_expected(line)]
        self.messages.lines.clear()

    def _is_expected(self, line: str) -> bool:
        """The browser's console logs the status of a page that is expected to be refused."""
        return self.expected_status != 200 and f"status of {self.expected_status}" in line

    def _requested(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in {"data", "blob"} and address.netloc != self.host:
            self.wrong.append(f"requested {request.url}")

    def _failed(self, request: Request) -> None:
        if "ERR_ABORTED" not in (request.failure or ""):  # the page was left during a request for updates
            self.wrong.append(f"no response: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status != self.expected_status:
            self.wrong.append(f"{response.status}: {response.url}")


def pages(found: dict[str, Model], user, *, viewable_only: bool = False) -> Iterator[tuple[str, str]]:
    """Yield a name and path of each admin's list, add form and newest row, then of the rows in `found`.

    `viewable_only`: only of the models that this user may view.
    """
    request = RequestFactory().get("/admin/")
    request.user = user
    for model, row in sorted(admin.site._registry.items(), key=lambda entry: entry[0]._meta.label_lower):
        if viewable_only and not row.has_view_permission(request):
            continue
        prefix, name = f"admin:{model._meta.app_label}_{model._meta.model_name}", model._meta.model_name
        yield f"{name}-list", reverse(f"{prefix}_changelist")
        if row.has_add_permission(request):
            yield f"{name}-add", reverse(f"{prefix}_add")
        newest = model._default_manager.order_by("-pk").first()
        assert newest, f"the demo has no {name}"
        yield f"{name}-page", reverse(f"{prefix}_change", args=[newest.pk])
    for name, row in found.items():
        prefix = f"admin:{row._meta.app_label}_{row._meta.model_name}"
        yield f"{row._meta.model_name}-{name.replace(' ', '-')}", reverse(f"{prefix}_change", args=[row.pk])


def the_list_of_messages(camera: Camera, schedule: Model) -> None:
    """The list of messages: empty, filtered, with its filter panel, and the menus."""
    page = camera.page
    camera.visit("message-list-empty", "/admin/messaging/message/?q=no-such-reference")
    camera.visit("message-list-filtered", "/admin/messaging/message/?status__exact=failed&queue__name__exact=express")
    page.get_by_role("button", name="Filters").click()
    camera.take("message-list-filters")
    page.locator(".select2-selection").click()
    page.locator(".select2-search__field").fill("app")
    page.get_by_role("option", name="Appointments of the week").click()
    camera.take("message-list-filter-by-schedule")
    page.get_by_role("button", name="Apply Filters").click()
    page.wait_for_url(f"**schedule={schedule.pk}**")
    page.set_viewport_size(WIDE)
    page.get_by_role("button", name="Mara Lindqvist").click()
    camera.take("menu-of-the-account")
    page.get_by_role(
        "button", name="Menu"
    ).click()  # the last screenshot was of a phone, where the menu covers the page
    camera.take("menu")


def forms(camera: Camera) -> None:
    """Forms with errors, and the page of a new token."""
    page = camera.page
    camera.visit("compose", "/admin/messaging/message/send/?to=%2B14155550142")
    page.get_by_label("Text").fill("ж" * 701)
    page.get_by_test_id("counter").get_by_text("11", exact=True).wait_for()
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_role("alert").first.wait_for()
    camera.take("compose-refused")
    page.goto("/admin/messaging/apitoken/add/")
    page.get_by_label("Name").fill("till 4")
    page.locator("[name=user]").select_option(label="shop-backend")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("shown only once").wait_for()
    camera.take("apitoken-created")
    page.goto("/admin/messaging/outboundqueue/express/change/")
    page.locator("[name=batch_size]").fill("2")
    page.get_by_label("Reason").fill("slower")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Please correct the error").first.wait_for()
    camera.take("form-refused")


def lists(camera: Camera, schedule: Model) -> None:
    """A list that waits: with refused rows, without a column of numbers, and the page of its schedule."""
    page = camera.page
    address = f"/admin/scheduling/schedule/{schedule.pk}/change/"
    bad = "".join(f"0151 0000{place:04},Name {place},x\n" for place in range(30))
    sent = [
        (
            "waiting",
            f"Mobile,name\n+4915112345678,Ada\n+4915112345679,Bogumi\u0142\n030,Eve\n+4915112345670,\U0001f389\n{bad}",
        ),
        ("columns", "Kontakt,Vorname\n+4915112345678,Ada\n+4915112345679,Bob\n"),
    ]
    for name, content in sent:
        page.goto(address)
        page.locator("[name=pasted]").fill(content)
        page.get_by_label("Reason").fill("asked to")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_test_id("list-status").wait_for()
        camera.take(f"list-{name}")
    page.get_by_role("button", name="Discard").click()
    page.get_by_text("The list is discarded.").wait_for()
    camera.take("schedule-lists")


def row_actions(camera: Camera, message: Model) -> None:
    """Row actions: the page that asks for the reason, and the result."""
    page = camera.page
    page.goto("/admin/providers/provideraccount/carrier-eu/change/")
    page.get_by_role("button", name="Disable").click()
    page.get_by_label("Reason").wait_for()
    camera.take("action-reason")
    page.goto(f"/admin/messaging/message/{message.pk}/change/")
    page.locator("summary").last.click()
    camera.take("message-callback-open")
    page.get_by_role("button", name="Retry").click()
    page.get_by_label("Reason").fill("The phone is on again")
    camera.take("action-retry")
    page.get_by_role("button", name="Retry", exact=True).click()
    page.get_by_text("1 message queued again.").wait_for()
    camera.take("action-done")


def providers(camera: Camera) -> None:
    """The latest exchanges of an account, the addresses of its callbacks, and a test message."""
    page = camera.page
    camera.open("provider-exchanges", "/admin/providers/provideraccount/carrier-us-west-backup/change/")
    page.get_by_test_id("exchanges").locator("summary").first.click()
    camera.take("provider-exchanges")
    page.get_by_role("button", name="Show the addresses").click()
    page.get_by_role("button", name="Copy the address for receipts").click()
    page.get_by_text("Copied").or_(page.get_by_text("Selected")).wait_for()
    camera.take("provider-addresses")
    camera.visit("provider-unusable", "/admin/providers/provideraccount/carrier-eu/change/")
    camera.visit("provider-test", "/admin/providers/provideraccount/carrier-us-west-backup/test/")
    page.get_by_label("To").fill("+14155550142")
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_test_id("answer").wait_for()
    camera.take("provider-test-result")


def other_pages(camera: Camera) -> None:
    providers(camera)
    camera.visit("held-by-hours", "/admin/messaging/hoursrule/held/")
    camera.visit("conversion", "/admin/messaging/verification/conversion/")
    camera.visit("costs", "/admin/messaging/message/costs/?group_by=day&group_by=account&group_by=country")
    camera.visit("delete", f"/admin/auth/group/{demo.group().pk}/delete/")
    camera.visit("delete-not-possible", "/admin/providers/provideraccount/carrier-eu/delete/")
    camera.visit("history", "/admin/messaging/outboundqueue/newsletter/history/")
    camera.visit("password", "/admin/password_change/")
    camera.visit("password-of-another", f"/admin/auth/user/{demo.viewer().pk}/password/")
    camera.visit("application", "/admin/messaging/")
    camera.visit("start-page", "/")
    camera.visit("not-found", "/admin/nothing/here/", status=404)


def as_a_viewer(camera: Camera, message: Model, schedule: Model) -> None:
    """A role without texts and changes: screenshots of pages that look different for it; all others are only opened."""
    client = Client()
    client.force_login(demo.viewer())
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": f"http://{camera.host}/"}
    camera.page.context.add_cookies([cookie])
    camera.visit("viewer-dashboard", "/admin/")
    camera.visit("viewer-message", f"/admin/messaging/message/{message.pk}/change/")
    camera.visit("viewer-queue", "/admin/messaging/outboundqueue/paced/change/")
    camera.visit("viewer-schedule", f"/admin/scheduling/schedule/{schedule.pk}/change/")
    camera.visit("viewer-provider", "/admin/providers/provideraccount/carrier-eu/change/")
    for name, path in pages({}, demo.viewer(), viewable_only=True):
        camera.open(f"viewer-{name}", path)
    camera.visit("viewer-refused", "/admin/auth/user/", status=403)


@pytest.mark.timeout(900)  # about 400 screenshots
@pytest.mark.django_db(transaction=True)
def test_every_page_is_laid_out_correctly(browser: Browser, live_server) -> None:
    shutil.rmtree(SCREENSHOTS, ignore_errors=True)
    SCREENSHOTS.mkdir(parents=True)
    found = demo.make(timezone.now())
    context = browser.new_context(base_url=live_server.url)
    context.set_default_timeout(TIMEOUT_MS)
    camera = Camera(context.new_page(), urlsplit(live_server.url).netloc)
    page = camera.page

    camera.visit("login", "/admin/login/?next=/admin/")
    page.get_by_label("Username").fill("mara")
    page.get_by_label("Password").fill(demo.PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")
    camera.take("dashboard")
    for name, path in pages(found, demo.admin()):
        camera.visit(name, path)
    the_list_of_messages(camera, found["recurring"])
    forms(camera)
    lists(camera, found["recurring"])
    row_actions(camera, found["failed after two calls"])
    other_pages(camera)
    as_a_viewer(camera, found["failed after two calls"], found["recurring"])
    context.close()

    assert camera.wrong == [], "\n".join(camera.wrong)
