"""Texts with variables."""

import json
from itertools import product
from string import ascii_letters

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.text_templates import (
    InvalidTemplate,
    InvalidValues,
    MissingVariable,
    check_values,
    compile_template,
    render,
    variables,
)

NAMES = ["".join(letters) for length in range(1, 4) for letters in product("ab", repeat=length)]


@pytest.mark.parametrize(
    ("text", "names", "rendered"),
    [
        ("", set(), ""),
        ("Hi", set(), "Hi"),
        ("Hi {name}, see you at {time}", {"name", "time"}, "Hi Ada, see you at 10:00"),
        ("{name}{name}", {"name"}, "AdaAda"),
        ("{name}", {"name"}, "Ada"),
        ("{{name}}", set(), "{name}"),
        ("{{{name}}}", {"name"}, "{Ada}"),
        ("{{{{}}}}", set(), "{{}}"),
        ("100 % of {name}, %s %(name)s %%", {"name"}, "100 % of Ada, %s %(name)s %%"),
        ("5 %", set(), "5 %"),
        ("\u20ac {_x9}\n", {"_x9"}, "\u20ac {name} %s\n"),
    ],
)
def test_variables_are_replaced_and_doubled_braces_stand_for_themselves(
    text: str, names: set[str], rendered: str
) -> None:
    values = {"name": "Ada", "time": "10:00", "_x9": "{name} %s", "unused": "x"}

    assert variables(text) == names
    assert render(text, values) == rendered


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("{", 0),
        ("}", 0),
        ("Hi {name", 3),
        ("Hi name}", 7),
        ("{}", 0),
        ("{ name }", 0),
        ("{1st}", 0),
        ("{na-me}", 0),
        ("{name!r}", 0),
        ("{name.__class__}", 0),
        ("{name[0]}", 0),
        ("{n\u00e4me}", 0),
        ("{" + "n" * 41 + "}", 0),
        ("{{name}", 6),
        ("{name}}", 6),
        ("{a} {b", 4),
    ],
)
def test_a_brace_that_is_neither_is_refused_with_its_place(text: str, position: int) -> None:
    with pytest.raises(InvalidTemplate) as refusal:
        compile_template(text)

    assert refusal.value.position == position
    assert f"character {position + 1} " in str(refusal.value)


def test_the_first_missing_variable_is_named() -> None:
    template = compile_template("{a} {b} {c}")

    with pytest.raises(MissingVariable) as refusal:
        template.render({"a": "1"})

    assert refusal.value.name == "b"


def test_the_only_variable_missing_is_named() -> None:
    with pytest.raises(MissingVariable) as refusal:
        render("{a}", {})

    assert refusal.value.name == "a"


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(alphabet=st.characters(exclude_characters="{}")),
            st.sampled_from(["{{", "}}"]),
            st.text(alphabet=ascii_letters + "_", min_size=1, max_size=40).map(lambda name: f"{{{name}}}"),
        )
    ),
    st.text(),
)
def test_every_piece_is_rendered_on_its_own(pieces: list[str], value: str) -> None:
    text = "".join(pieces)
    expected = [piece[0] if piece in {"{{", "}}"} else value if piece.startswith("{") else piece for piece in pieces]

    assert render(text, dict.fromkeys(variables(text), value)) == "".join(expected)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text(alphabet="{}ab %", max_size=12))
def test_any_text_is_a_template_or_refused_as_the_language_itself_would(text: str) -> None:
    try:
        expected = text.format(**dict.fromkeys(NAMES, "x"))
    except (ValueError, KeyError, IndexError):
        expected = None

    try:
        rendered = render(text, dict.fromkeys(NAMES, "x"))
    except (InvalidTemplate, MissingVariable):
        rendered = None

    assert rendered == expected


def test_numbers_are_written_out() -> None:
    values = json.loads('{"name": "Ada", "empty": "", "count": 3, "price": 2.5, "below": -1}')

    assert check_values(values) == {"name": "Ada", "empty": "", "count": "3", "price": "2.5", "below": "-1"}


def test_the_limits_are_included() -> None:
    values = {f"v{number}": "x" * 500 for number in range(50)}

    assert check_values(values) == values


@pytest.mark.parametrize(
    ("values", "code", "name"),
    [
        (None, "invalid_variables", ""),
        (["name"], "invalid_variables", ""),
        ({f"v{number}": "x" for number in range(51)}, "too_many_variables", ""),
        ({"1st": "x"}, "invalid_variable_name", ""),
        ({"na me": "x"}, "invalid_variable_name", ""),
        ({"name\n": "x"}, "invalid_variable_name", ""),
        ({"n" * 41: "x"}, "invalid_variable_name", ""),
        ({1: "x"}, "invalid_variable_name", ""),
        ({"name": "x" * 501}, "too_long", "name"),
        ({"name": 10**600}, "too_long", "name"),
        ({"name": "a\0b"}, "invalid_characters", "name"),
        ({"name": "\ud800"}, "invalid_characters", "name"),
        ({"name": True}, "invalid_value", "name"),
        ({"name": None}, "invalid_value", "name"),
        ({"name": ["x"]}, "invalid_value", "name"),
        ({"name": {"x": 1}}, "invalid_value", "name"),
        ({"name": float("nan")}, "invalid_value", "name"),
        ({"name": float("inf")}, "invalid_value", "name"),
    ],
)
def test_other_values_are_refused(values: object, code: str, name: str) -> None:
    with pytest.raises(InvalidValues) as refusal:
        check_values(values)

    assert (refusal.value.code, refusal.value.name) == (code, name)
