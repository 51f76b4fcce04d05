"""Every admin and inline uses our base classes: others would look broken."""

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
def test_every_admin_derives_from_our_base(row: DjangoModelAdmin) -> None:
    assert isinstance(row, ModelAdmin)
    assert [inline for inline in row.inlines if not issubclass(inline, TabularInline)] == []


@pytest.mark.parametrize("row", ADMINS)
def test_every_list_and_form_opens(staff: Client, row: DjangoModelAdmin) -> None:
    name = f"admin:{row.opts.app_label}_{row.opts.model_name}"

    pages = {page: staff.get(reverse(f"{name}_{page}")).status_code for page in ("changelist", "add")}

    assert pages["changelist"] == 200
    assert pages["add"] in {200, 403}


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("providers/sendernumber", {"number": "+15005550007", "is_default": "on"}, "There is a default number for everybody"),
        ("messaging/keywordrule", {"action": "stop", "words": "STOP"}, "There is a rule for this action at all numbers"),
        ("messaging/retentionrule", {"queue": "express", "text_days": "1"}, "This queue has a rule for every owner"),
        ("messaging/retentionrule", {"text_days": "1"}, "Name an owner, a queue, or both"),
    ],
)  # fmt: skip
def test_duplicates_are_refused_with_an_explanation(
    staff: Client, path: str, data: dict[str, str], expected: str
) -> None:
    SenderFactory(is_default=True)
    KeywordRule.objects.create(action="stop", words="STOP")
    RetentionRule.objects.create(queue=QueueFactory())

    page = staff.post(f"/admin/{path}/add/", data)

    [error] = page.context["adminform"].form.non_field_errors()
    assert error.startswith(expected)


def heading(page: str) -> str:
    """Return the text of the header."""
    text = re.sub(r"<span[^>]*material-symbols[^>]*>.*?</span>|<[^>]+>", " ", re.search(r"<h1.*?</h1>", page, re.S)[0])
    return " ".join(text.split())


def test_a_list_has_the_same_name_in_header_and_menu(staff: Client) -> None:
    menu = [entry for group in staff.get("/admin/").context["sidebar_navigation"] for entry in group["items"]]

    headings = {entry["title"]: heading(staff.get(entry["link"]).content.decode()) for entry in menu}

    assert {title: text for title, text in headings.items() if not text.endswith(title)} == {}


@pytest.mark.parametrize("row", ADMINS)
def test_the_form_for_a_new_row_has_its_own_title_and_no_add_link(staff: Client, row: DjangoModelAdmin) -> None:
    page = staff.get(reverse(f"admin:{row.opts.app_label}_{row.opts.model_name}_add"))

    if page.status_code == 200:
        assert heading(page.content.decode()).endswith(f"New {row.opts.verbose_name}")
        assert "addlink bg-primary-600" not in page.content.decode()


def test_an_empty_list_of_keywords_names_the_default_words(staff: Client) -> None:
    page = staff.get("/admin/messaging/keywordrule/").content.decode()

    assert "Every number reacts to these words: STOP, UNSUBSCRIBE," in page


def test_an_invalid_day_is_reported_and_nothing_is_exported(staff: Client) -> None:
    for path in ("/admin/messaging/message/", "/admin/messaging/message/export/"):
        page = staff.get(f"{path}?created_from=abc", follow=True)

        assert [str(message) for message in page.context["messages"]] == [
            "abc is not a valid day. Write it as 2026-12-01."
        ]
        assert page.redirect_chain[-1][0] == "/admin/messaging/message/?e=1"
    assert not LogEntry.objects.exists()
