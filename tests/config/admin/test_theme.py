"""Every admin and every inline of the site stands on our base: one that does not looks broken."""

import re

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from unfold.admin import TabularInline

from messaging.console.model_admin import ModelAdmin
from messaging.models import KeywordRule, RetentionRule
from tests.factories import QueueFactory, SenderFactory, UserFactory

ADMINS = [pytest.param(row, id=row.opts.label) for row in admin.site._registry.values()]


@pytest.fixture
def staff(db) -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize("row", ADMINS)
def test_it_derives_from_ours(row: DjangoModelAdmin) -> None:
    assert isinstance(row, ModelAdmin)
    assert [inline for inline in row.inlines if not issubclass(inline, TabularInline)] == []


@pytest.mark.parametrize("row", ADMINS)
def test_its_list_and_its_form_open(staff: Client, row: DjangoModelAdmin) -> None:
    name = f"admin:{row.opts.app_label}_{row.opts.model_name}"

    pages = {page: staff.get(reverse(f"{name}_{page}")).status_code for page in ("changelist", "add")}

    assert pages["changelist"] == 200
    assert pages["add"] in {200, 403}


@pytest.mark.parametrize(
    ("path", "data", "said"),
    [
        ("providers/sendernumber", {"number": "+15005550007", "is_default": "on"}, "There is a default number for everybody"),
        ("messaging/keywordrule", {"action": "stop", "words": "STOP"}, "There is a rule for this action at all numbers"),
        ("messaging/retentionrule", {"queue": "express", "text_days": "1"}, "This queue has a rule for every owner"),
        ("messaging/retentionrule", {"text_days": "1"}, "Name an owner, a queue, or both"),
    ],
)  # fmt: skip
def test_what_can_be_there_once_says_so_in_words(staff: Client, path: str, data: dict[str, str], said: str) -> None:
    SenderFactory(is_default=True)
    KeywordRule.objects.create(action="stop", words="STOP")
    RetentionRule.objects.create(queue=QueueFactory())

    page = staff.post(f"/admin/{path}/add/", data)

    [error] = page.context["adminform"].form.non_field_errors()
    assert error.startswith(said)


def heading(page: str) -> str:
    """What the header says, in words."""
    text = re.sub(r"<span[^>]*material-symbols[^>]*>.*?</span>|<[^>]+>", " ", re.search(r"<h1.*?</h1>", page, re.S)[0])
    return " ".join(text.split())


def test_a_list_is_called_in_its_header_as_in_the_menu(staff: Client) -> None:
    menu = [entry for group in staff.get("/admin/").context["sidebar_navigation"] for entry in group["items"]]

    headings = {entry["title"]: heading(staff.get(entry["link"]).content.decode()) for entry in menu}

    assert {title: said for title, said in headings.items() if not said.endswith(title)} == {}


@pytest.mark.parametrize("row", ADMINS)
def test_the_form_for_a_new_row_says_so_and_offers_no_other_one(staff: Client, row: DjangoModelAdmin) -> None:
    page = staff.get(reverse(f"admin:{row.opts.app_label}_{row.opts.model_name}_add"))

    if page.status_code == 200:
        assert heading(page.content.decode()).endswith(f"New {row.opts.verbose_name}")
        assert "addlink bg-primary-600" not in page.content.decode()


def test_an_empty_list_of_keywords_says_which_words_hold(staff: Client) -> None:
    page = staff.get("/admin/messaging/keywordrule/").content.decode()

    assert "At every number these words hold: STOP, UNSUBSCRIBE," in page


def test_a_day_that_is_none_is_said_and_nothing_is_exported_as_if_it_were_one(staff: Client) -> None:
    for path in ("/admin/messaging/message/", "/admin/messaging/message/export/"):
        page = staff.get(f"{path}?created_from=abc", follow=True)

        assert [str(message) for message in page.context["messages"]] == [
            "abc is no day, so there is no such filter. Write it as 2026-12-01."
        ]
        assert page.redirect_chain[-1][0] == "/admin/messaging/message/?e=1"
    assert not LogEntry.objects.exists()
