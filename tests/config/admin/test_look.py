"""Every admin and every inline of the site stands on our base: one that does not looks broken."""

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.test import Client
from django.urls import reverse
from unfold.admin import TabularInline

from console.model_admin import ModelAdmin
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
