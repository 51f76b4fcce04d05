"""Validating a list costs no more than reporting its errors, however long or invalid it is."""

import pytest
from rest_framework import serializers

from messaging.api.fields import BoundedListField


class Entry(serializers.CharField):
    def __init__(self) -> None:
        super().__init__(max_length=3)
        self.read = 0

    def run_validation(self, data: object = serializers.empty) -> str:
        self.read += 1
        return super().run_validation(data)


@pytest.fixture
def entry() -> Entry:
    return Entry()


def read_by(field: BoundedListField) -> int:
    return field.child.read


def test_a_list_that_is_too_long_is_refused_unread(entry: Entry) -> None:
    field = BoundedListField(child=entry, max_length=5)

    with pytest.raises(serializers.ValidationError) as refused:
        field.run_validation(["too long"] * 6)

    assert refused.value.get_codes() == ["max_length"]
    assert read_by(field) == 0


def test_validation_of_a_list_stops_at_the_reported_errors(entry: Entry) -> None:
    field = BoundedListField(child=entry, max_length=100_000)

    with pytest.raises(serializers.ValidationError) as refused:
        field.run_validation(["too long"] * 5_000)

    assert list(refused.value.detail) == list(range(1_000))
    assert read_by(field) == 1_000


def test_valid_items_keep_their_order(entry: Entry) -> None:
    field = BoundedListField(child=entry, max_length=5)

    assert field.run_validation(["a", "b", "c"]) == ["a", "b", "c"]
