"""Every admin and every inline of the site stands on our base: one that does not looks broken."""

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.test import Client
from django.urls import reverse
from unfold.admin import TabularInline

from console.model_admin import ModelAdmin
from tests.factories import UserFactory

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
