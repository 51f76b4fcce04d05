import pytest
from django.contrib.auth.models import User

from messaging.console.filters import CreatedFilter, parameters
from messaging.models import Message


@pytest.mark.parametrize(
    ("model", "list_filter", "expected"),
    [
        (User, ["is_staff"], {"is_staff", "is_staff__exact", "is_staff__isnull"}),
        (User, ["groups"], {"groups", "groups__exact", "groups__isnull", "groups__id__exact"}),
        (Message, [("queue", object)], {"queue", "queue__exact", "queue__isnull", "queue__name__exact"}),
        (
            Message,
            ["created_at"],
            {"created_at", "created_at__exact", "created_at__isnull", "created_at__gte", "created_at__lt"},
        ),
        (Message, [CreatedFilter], {"created_from", "created_to"}),
        (Message, [], set()),
    ],
)
def test_the_parameters_of_a_filter(model, list_filter, expected) -> None:
    assert parameters(model, list_filter) == expected
