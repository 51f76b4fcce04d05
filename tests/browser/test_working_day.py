"""Common tasks of staff, in Chromium against a running system: web, worker, beat, and simulated carriers."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.carrier import Answer, Carrier, ReceivedCall, post_receipt
from tests.journeys.client import Client
from tests.journeys.stack import Stack

MESSAGES = "/admin/messaging/message/"
CUSTOMER = "+14155550142"


class Network(Carrier):
    """Delivers at once, except to unreachable phones."""

    def __init__(self) -> None:
        super().__init__(self._deliver)
        self.switched_off: set[str] = set()

    def _deliver(self, call: ReceivedCall) -> Answer:
        message_id = self.new_id()
        status = "failed" if call.content["to_number"] in self.switched_off else "delivered"
        threading.Timer(0.3, post_receipt, (call.content["callback_url"], message_id, status)).start()
        return 200, {"message_id": message_id}


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def stack(network: Network) -> Iterator[Stack]:
    with Stack(carriers_url=network.url) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)


def give_reason(page: Page, action: str, reason: str) -> None:
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name=action, exact=True).click()


MAX_STOPS = 200


def reach(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus, as a user without a mouse does."""
    expect(target).to_be_visible()
    for _ in range(MAX_STOPS):
        if target.evaluate("(element) => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} not reached after {MAX_STOPS} tab stops")


def go_to(page: Page, target: Locator) -> None:
    reach(page, target)
    page.keyboard.press("Enter")


def test_the_dashboard_shows_messages_as_they_flow(desk: Page, client: Client) -> None:
    delivered = desk.locator(".sb-figure", has_text="Delivered in 24 h").locator("strong")
    expect(delivered).to_have_text("0")

    sent = [client.send(f"+1415555010{digit}")["id"] for digit in range(3)]
    for message_id in sent:
        client.wait_for(message_id, "delivered", seconds=60)

    expect(delivered).to_have_text("3")  # without reloading the page
    expect(desk.locator("canvas")).to_have_attribute("aria-label", re.compile(r"\b3 delivered"))
    expect(desk.get_by_text("No problems found.")).to_be_visible()


def test_a_dashboard_without_updates_shows_since_when(desk: Page) -> None:
    desk.goto("/admin/")
    warning = desk.get_by_role("alert").filter(has_text="No updates since")
    expect(warning).to_be_hidden()
    cookies = desk.context.cookies()

    desk.context.clear_cookies()
    expect(warning).to_be_visible()
    expect(warning).to_contain_text(re.compile(r"since \d\d:\d\d:\d\d UTC"))

    desk.context.add_cookies(cookies)
    expect(warning).to_be_hidden()


def test_a_failed_message_is_found_and_retried(desk: Page, client: Client, network: Network) -> None:
    network.switched_off = {CUSTOMER}
    message_id = client.send(CUSTOMER, reference="order-42")["id"]
    client.wait_for(message_id, "undelivered", seconds=60)

    desk.locator("#nav-sidebar").get_by_role("link", name="Messages").click()
    desk.get_by_placeholder(re.compile("Number, id")).fill("+1 (415) 555-0142")
    desk.keyboard.press("Enter")
    desk.locator("#result_list th a").click()

    expect(desk.get_by_test_id("status")).to_have_text("undelivered")
    expect(desk.get_by_test_id("why")).to_contain_text("reported failed")
    expect(desk.locator(".sb-timeline")).to_contain_text("Attempt 1 with sandbox")

    network.switched_off = set()
    desk.get_by_role("button", name="Retry").click()
    give_reason(desk, "Retry", "the customer has a new phone")

    expect(desk.get_by_text("1 message queued again.")).to_be_visible()
    client.wait_for(message_id, "delivered", seconds=60)
    desk.reload()
    expect(desk.get_by_test_id("status")).to_have_text("delivered")
    expect(desk.locator(".sb-timeline")).to_contain_text("the customer has a new phone")
    expect(desk.locator(".sb-timeline")).to_contain_text("Callback from sandbox")
    assert client.message(message_id)["attempts"] == 2


def test_a_message_is_composed_with_a_segment_counter(desk: Page, client: Client) -> None:
    desk.goto(f"{MESSAGES}send/")
    counter = desk.get_by_test_id("counter")
    desk.get_by_label("To").fill("+1 415 555 0177")
    desk.get_by_label("Text").fill("ж" * 71)
    expect(counter).to_contain_text("2 of 10 segments")
    expect(counter).to_contain_text("UCS-2")
    desk.get_by_label("Text").fill("Hello from the console")
    expect(counter).to_contain_text("1 of 10 segments")
    expect(desk.locator("[data-preview=text]")).to_have_text("Hello from the console")

    desk.get_by_role("button", name="Send", exact=True).click()

    expect(desk.get_by_text("The message is queued.")).to_be_visible()


def test_a_recurring_schedule_is_created_from_a_csv(desk: Page, tmp_path: Path) -> None:
    recipients = tmp_path / "recipients.csv"
    recipients.write_text("to,name\n+14155550101,Ada\n+14155550102,Bob\n")

    desk.goto("/admin/scheduling/schedule/add/")
    desk.get_by_label("Name").fill("Monday greeting")
    desk.locator("[name=text]").fill("Hi {name}")
    desk.locator("[name=run_at]").fill("2030-01-07T09:00")
    desk.locator("[name=time_zone]").select_option("Europe/Berlin")
    desk.get_by_label("Repeat", exact=True).select_option("weekly")
    desk.get_by_label("Mon", exact=True).check()
    desk.get_by_label("Times").fill("2")
    expect(desk.get_by_test_id("next-runs").locator("li > span")).to_have_text(
        ["Mon 07 Jan 2030 09:00 CET", "Mon 14 Jan 2030 09:00 CET"]
    )
    desk.locator("[name=file]").set_input_files(recipients)
    desk.get_by_role("button", name="Save", exact=True).click()

    desk.get_by_role("link", name="Monday greeting").first.click()
    expect(desk.get_by_text("It has 2 recipients.")).to_be_visible()
    expect(desk.locator("[name=recurrence]")).to_have_value("RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=2")


def test_a_list_with_bad_rows_is_checked_before_it_is_saved(desk: Page, tmp_path: Path) -> None:
    recipients = tmp_path / "contacts.csv"
    recipients.write_text("Mobile,Private,name\n030,0151 12345678,Ada\n040,0151 12345679,Bob\n050,nobody,Eve\n")
    desk.goto("/admin/scheduling/schedule/add/")
    desk.get_by_label("Name").fill("Greeting of contacts")
    desk.locator("[name=text]").fill("Hi {name}")
    desk.locator("[name=run_at]").fill("2030-01-07T09:00")
    desk.locator("[name=file]").set_input_files(recipients)
    desk.get_by_role("button", name="Save", exact=True).click()

    expect(desk.get_by_test_id("refused")).to_have_text("3")
    expect(desk.get_by_text("The schedule is paused until you save this list.")).to_be_visible()
    desk.get_by_label("Column with the numbers").select_option("2: Private")
    desk.get_by_label("Country of numbers without +").select_option("DE")
    desk.get_by_role("button", name="Check again").click()
    expect(desk.get_by_test_id("refused")).to_have_text("1")
    expect(desk.get_by_test_id("preview")).to_contain_text("Hi Ada")
    expect(desk.get_by_test_id("preview")).to_contain_text("+4915112345678")
    desk.get_by_role("button", name="Save 2 recipients").click()

    expect(desk.get_by_text("2 added to the list. The schedule is active.")).to_be_visible()
    expect(desk.get_by_text("It has 2 recipients.")).to_be_visible()
    expect(desk.get_by_test_id("lists")).to_contain_text("2 taken, 0 passed over, 1 refused")
    desk.go_back()
    expect(desk.get_by_test_id("list-status")).to_be_visible()
    desk.reload()
    expect(desk.get_by_test_id("list-status")).to_have_text("saved")


def test_the_paced_queue_is_paused(desk: Page, client: Client) -> None:
    desk.goto("/admin/messaging/outboundqueue/paced/change/")
    desk.get_by_role("button", name="Pause").click()
    give_reason(desk, "Pause", "the campaign waits")

    expect(desk.get_by_text("1 outbound queue paused.")).to_be_visible()
    desk.goto("/admin/")
    expect(desk.get_by_text("Queue paced is paused")).to_be_visible()


def test_a_queue_is_resumed_with_the_keyboard_alone(desk: Page, client: Client) -> None:
    """From the dashboard to the list of queues, the row, the action and the reason."""
    client.post("queues/paced/pause/", {})
    desk.goto("/admin/")
    go_to(desk, desk.locator("#nav-sidebar").get_by_role("link", name="Queues"))
    go_to(desk, desk.locator("#result_list").get_by_role("link", name="paced"))
    go_to(desk, desk.get_by_role("button", name="Resume"))
    reach(desk, desk.get_by_label("Reason"))
    desk.keyboard.type("the campaign goes on")
    go_to(desk, desk.get_by_role("button", name="Resume", exact=True))

    expect(desk.get_by_text("1 outbound queue resumed.")).to_be_visible()
    assert client.get("queues/paced/")["is_paused"] is False


def test_the_menus_open_with_the_keyboard(desk: Page) -> None:
    """unfold builds its menus from plain elements, which the console turns into buttons."""
    desk.goto("/admin/messaging/message/")

    go_to(desk, desk.get_by_role("button", name="admin").first)
    expect(desk.get_by_role("button", name="Log out")).to_be_visible()
    desk.keyboard.press("Enter")
    expect(desk.get_by_role("button", name="Log out")).to_be_hidden()

    go_to(desk, desk.get_by_role("button", name="Filters"))
    expect(desk.get_by_role("button", name="Apply Filters")).to_be_visible()


def test_disabling_a_provider_is_logged_with_user_and_reason(desk: Page) -> None:
    desk.goto("/admin/providers/provideraccount/sandbox1/change/")
    desk.get_by_role("button", name="Disable").click()
    give_reason(desk, "Disable", "too many failures")

    expect(desk.get_by_text("1 provider account disabled.")).to_be_visible()
    desk.get_by_role("link", name="Audit log").click()
    first = desk.locator("#result_list tbody tr").first
    expect(first).to_contain_text("Disable. Reason: too many failures")
    expect(first).to_contain_text("admin")
