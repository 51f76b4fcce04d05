"""Every list costs the same for one row and for fifty."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from messaging.console import filters
from tests.config.admin.rows import MAKERS
from tests.messaging.admin.conftest import Staff

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_the_list_costs_the_same_for_one_row_and_for_fifty(staff: Staff, model: type[Model]) -> None:
    """For every registered admin. A new one needs a maker in `rows`."""
    client = staff()
    path = f"{model._meta.app_label}/{model._meta.model_name}"
    costs = []
    client.get(f"/admin/{path}/")  # what is remembered after the first request
    for numbers in (range(1), range(1, 50)):
        for number in numbers:
            MAKERS[path](number)
        with CaptureQueriesContext(connection) as queries:
            page = client.get(f"/admin/{path}/")
        assert page.status_code == 200
        costs.append(len(queries))

    assert page.context["cl"].result_count >= 25  # a page of images
    assert costs[0] == costs[1]


def test_no_list_shows_facet_counts() -> None:
    assert {row.show_facets for row in admin.site._registry.values()} == {admin.ShowFacets.NEVER}


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_a_list_accepts_only_the_lookups_of_its_own_filters(staff: Staff, model: type[Model]) -> None:
    client, path = staff(), f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    accepted = filters.parameters(model, admin.site.get_model_admin(model).list_filter)
    others = [f"{field.name}__contains" for field in model._meta.concrete_fields] + ["pk__regex", "nothing", "a__b"]

    own = {
        (name, value): client.get(path, {name: value}).status_code
        for name in accepted
        for value in ("", "1", "nonsense", "99999999999999999999", "(")
    }
    refused = {name: client.get(path, {name: "("}).status_code for name in others}

    assert {status for (_, value), status in own.items() if len(value) < 20} <= {200, 302}, own
    assert set(own.values()) <= {200, 302, 400}, own
    assert set(refused.values()) == {400}, refused


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_every_parameter_of_a_filter_is_accepted_by_its_list(staff: Staff, model: type[Model]) -> None:
    """The names are defined twice: in the filter, and in `filters.parameters`."""
    path = f"{model._meta.app_label}/{model._meta.model_name}"
    MAKERS[path](1)
    page = staff().get(f"/admin/{path}/")

    offered = {name for spec in page.context["cl"].filter_specs for name in spec.expected_parameters()}

    assert offered <= filters.parameters(model, admin.site.get_model_admin(model).list_filter)


def test_the_list_of_users_is_filtered_by_group(staff: Staff) -> None:
    """A filter of a relation to many rows, which Django leaves out while there are no rows to choose."""
    support, sales = (Group.objects.create(name=name) for name in ("support", "sales"))
    member, other = (User.objects.create_user(name) for name in ("member", "other"))
    member.groups.add(support)
    other.groups.add(sales)

    page = staff().get("/admin/auth/user/", {"groups__id__exact": support.pk})

    assert page.status_code == 200
    assert list(page.context["cl"].result_list) == [member]


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_no_column_has_the_name_of_a_relation_to_many_rows(model: type[Model]) -> None:
    """`?o=` would order by it, although its heading is no link: one row of the list for each of the many."""
    many = {field.name for field in model._meta.get_fields() if field.one_to_many or field.many_to_many}

    assert not many & set(map(str, admin.site.get_model_admin(model).list_display))
