"""Dates of a schedule in Chromium: left out, put back and added, with the keyboard as well."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.journeys.client import Client
from tests.journeys.stack import Stack

SHOTS = os.environ.get("SHOTS")  # a folder for screenshots, to look at


def shot(desk: Page, name: str) -> None:
    if not SHOTS:
        return
    desk.mouse.move(0, 0)
    for theme in ("light", "dark"):
        desk.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", theme == "dark")
        desk.screenshot(path=Path(SHOTS) / f"{name}-{theme}.png", full_page=True)
    desk.evaluate("document.documentElement.classList.remove('dark')")
    desk.set_viewport_size({"width": 390, "height": 844})
    desk.screenshot(path=Path(SHOTS) / f"{name}-narrow.png", full_page=True)
    assert desk.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    desk.set_viewport_size({"width": 1440, "height": 900})


def test_runs_are_left_out_put_back_and_added_in_the_form(desk: Page) -> None:
    runs, left_out = desk.get_by_test_id("next-runs"), desk.get_by_test_id("left-out")
    desk.goto("/admin/scheduling/schedule/add/")
    desk.get_by_label("Name").fill("Morning greeting")
    desk.locator("[name=text]").fill("Good morning")
    desk.locator("[name=run_at]").fill("2030-12-23T09:00")
    desk.locator("[name=time_zone]").select_option("Europe/Berlin")
    desk.get_by_label("Repeat", exact=True).select_option("daily")
    desk.get_by_label("Not on public holidays of").fill("DE")
    expect(runs.locator("li > span")).to_have_text(
        [f"{day} Dec 2030 09:00 CET" for day in ("Mon 23", "Tue 24", "Fri 27", "Sat 28", "Sun 29")]
    )
    expect(left_out.locator("li > s")).to_have_text(["Wed 25 Dec 2030 09:00 CET", "Thu 26 Dec 2030 09:00 CET"])
    expect(left_out.locator("em")).to_have_text(["Christmas Day", "Second Day of Christmas"])
    expect(desk.locator("#sb-holidays option[value=DE-BY]")).to_have_count(1)

    desk.get_by_role("button", name="Leave out Tue 24 Dec 2030 09:00 CET").focus()
    desk.keyboard.press("Enter")
    put_back = desk.get_by_role("button", name="Put back Tue 24 Dec 2030 09:00 CET")
    expect(put_back).to_be_focused()
    expect(desk.locator("[name=recurrence]")).to_have_value("RRULE:FREQ=DAILY\nEXDATE:20301224T090000")
    desk.get_by_label("Add a run").fill("2030-12-24T18:00")
    desk.get_by_role("button", name="Add", exact=True).click()
    expect(runs.locator("li").nth(1)).to_contain_text("Tue 24 Dec 2030 18:00 CET added")
    shot(desk, "form")
    desk.get_by_role("button", name="Put back Wed 25 Dec 2030 09:00 CET").click()
    expect(runs.locator("li").nth(2)).to_contain_text("Wed 25 Dec 2030 09:00 CET added")
    desk.get_by_label("Every", exact=True).fill("2")
    expect(desk.locator("[name=recurrence]")).to_have_value(
        "RRULE:FREQ=DAILY;INTERVAL=2\nEXDATE:20301224T090000\nRDATE:20301224T180000,20301225T090000"
    )
    desk.locator("[name=pasted]").fill("+14155550101")
    desk.get_by_role("button", name="Save", exact=True).click()

    desk.get_by_role("link", name="Morning greeting").first.click()
    expect(desk.get_by_label("Repeat", exact=True)).to_have_value("DAILY")
    expect(runs.locator("li").nth(2)).to_contain_text("Wed 25 Dec 2030 09:00 CET added")


def test_a_run_of_a_schedule_that_has_run_is_left_out(desk: Page, stack: Stack) -> None:
    made = Client(stack).post(
        "schedules/",
        {
            "name": "Every day",
            "message": "Hello",
            "run_at": (datetime.now(UTC) + timedelta(seconds=3)).isoformat(),
            "recurrence": "RRULE:FREQ=DAILY",
            "holidays": "DE",
            "recipients": ["+14155550101"],
        },
    )
    desk.goto(f"/admin/scheduling/schedule/{made.json()['id']}/change/")
    expect(desk.get_by_text("1 of 1 recipients expanded")).to_be_visible()  # the page follows the run
    desk.reload()
    coming = desk.get_by_test_id("coming-runs")
    first = coming.get_by_role("button", name="Leave out").first
    name = (first.get_attribute("aria-label") or "").removeprefix("Leave out ")

    first.focus()
    desk.keyboard.press("Enter")

    expect(desk.get_by_text(f"The run of {name} is left out.")).to_be_visible()
    expect(coming.get_by_role("button", name=f"Put back {name}")).to_be_visible()
    shot(desk, "page")
