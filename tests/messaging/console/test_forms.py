import pytest
from django import forms

from messaging.console.forms import set_choices


def test_choices_are_set_on_a_choice_field() -> None:
    field = forms.ChoiceField()

    set_choices(field, [("a", "A")])

    assert field.choices == [("a", "A")]


def test_a_field_without_choices_is_refused() -> None:
    with pytest.raises(TypeError, match="CharField has no choices"):
        set_choices(forms.CharField(), [("a", "A")])
