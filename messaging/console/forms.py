"""Forms of the console. Fields declared in a form get the same styling as model fields."""

from typing import Any, ClassVar

from django import forms
from unfold import widgets

from messaging.console.bases import ModelForm

WIDGET_CLASSES: dict[type[forms.Widget], list[str]] = {
    forms.CheckboxInput: widgets.SWITCH_CLASSES,
    forms.Textarea: widgets.TEXTAREA_CLASSES,
    forms.Select: widgets.SELECT_CLASSES,
    forms.widgets.Input: widgets.INPUT_CLASSES,
}


class StyledFormMixin:
    """Style the widgets that unfold has not styled. Must come before the form class in the bases."""

    fields: ClassVar[dict[str, forms.Field]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            style(field)


def style(field: forms.Field) -> None:
    if isinstance(field.widget, forms.FileInput):
        field.widget = widgets.UnfoldAdminFileFieldWidget(attrs=field.widget.attrs)
        return
    if field.widget.attrs.get("class"):
        return
    if isinstance(field.widget, forms.Select) and field.widget.template_name == forms.Select.template_name:
        field.widget.template_name = widgets.UnfoldAdminSelectWidget.template_name
    for kind, classes in WIDGET_CLASSES.items():
        if isinstance(field.widget, kind):
            field.widget.attrs["class"] = " ".join(classes)
            return


def set_choices(field: forms.Field, choices: list[tuple[str, str]]) -> None:
    """Set the choices of a `ChoiceField` that depend on the database. Raises `TypeError` for other fields."""
    if not isinstance(field, forms.ChoiceField):
        raise TypeError(f"{type(field).__name__} has no choices")
    field.choices = choices


class StyledForm(StyledFormMixin, forms.Form):
    pass


class StyledModelForm(StyledFormMixin, ModelForm):
    pass
