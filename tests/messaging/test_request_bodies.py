"""Count the values of a JSON text without parsing it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.request_bodies import has_too_many_values

VALUES = st.recursive(
    st.none() | st.integers() | st.text('ab,[]{}"\\', max_size=6),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4) | st.dictionaries(st.text('a,"\\'), inner, min_size=1, max_size=4)
    ),
    max_leaves=40,
)


def count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(count, value.values()))
    return 1 + sum(map(count, value)) if isinstance(value, list) else 1


@given(VALUES.filter(lambda value: isinstance(value, (dict, list))))
def test_values_in_containers_are_counted_and_the_content_of_strings_is_not(value: Any) -> None:
    body = json.dumps(value).encode()
    values = count(value) - 1  # without the outermost value

    assert has_too_many_values(body, values - 1)
    assert not has_too_many_values(body, values)


@pytest.mark.parametrize("quotes", [0, 1, 2, 3])
def test_a_string_may_span_the_chunks_of_the_count(quotes: int) -> None:
    body = json.dumps({"a": '"' * quotes + "," * 200_000, "b": [1, 2]}).encode()

    assert not has_too_many_values(body, 4)
    assert has_too_many_values(body, 3)


@pytest.mark.parametrize("body", [b"", b'"', b'"\\', b"\\", b"[" * 5, b'",,,,,'])
def test_malformed_json_raises_nothing(body: bytes) -> None:
    assert has_too_many_values(body, 4) is (body == b"[" * 5)
