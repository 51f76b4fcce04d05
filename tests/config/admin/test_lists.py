"""Every list costs the same for one row and for fifty."""

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from tests.config.admin.rows import MAKERS
from tests.messaging.admin.conftest import Staff

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_the_list_costs_the_same_for_one_row_and_for_fifty(staff: Staff, model: type[Model]) -> None:
    """Of every admin of the site: one that is new needs a maker in `rows`."""
    client = staff()
    path = f"{model._meta.app_label}/{model._meta.model_name}"
    costs = []
    for numbers in (range(1), range(1, 50)):
        for number in numbers:
            MAKERS[path](number)
        client.get(f"/admin/{path}/")
        with CaptureQueriesContext(connection) as queries:
            page = client.get(f"/admin/{path}/")
        assert page.status_code == 200
        costs.append(len(queries))

    assert page.context["cl"].result_count >= 25  # a page of images
    assert costs[0] == costs[1]


def test_no_list_counts_rows_beside_its_filters() -> None:
    assert {row.show_facets for row in admin.site._registry.values()} == {admin.ShowFacets.NEVER}
