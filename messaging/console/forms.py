"""Forms of the console: a field that a form declares itself gets the same look as one of a model."""

from typing import Any, ClassVar

from django import forms
from unfold import widgets

LOOKS: dict[type[forms.Widget], list[str]] = {
    forms.CheckboxInput: widgets.SWITCH_CLASSES,
    forms.Textarea: widgets.TEXTAREA_CLASSES,
    forms.Select: widgets.SELECT_CLASSES,
    forms.widgets.Input: widgets.INPUT_CLASSES,
}


class StyledFormMixin:
    """Dresses the widgets that unfold has not dressed yet. To be named before the form's class."""

    fields: ClassVar[dict[str, forms.Field]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            dress(field)


def dress(field: forms.Field) -> None:
    if isinstance(field.widget, forms.FileInput):
        field.widget = widgets.UnfoldAdminFileFieldWidget(attrs=field.widget.attrs)
        return
    if field.widget.attrs.get("class"):
        return
    if isinstance(field.widget, forms.Select) and field.widget.template_name == forms.Select.template_name:
        field.widget.template_name = widgets.UnfoldAdminSelectWidget.template_name
    for kind, classes in LOOKS.items():
        if isinstance(field.widget, kind):
            field.widget.attrs["class"] = " ".join(classes)
            return


class StyledForm(StyledFormMixin, forms.Form):
    pass


class StyledModelForm(StyledFormMixin, forms.ModelForm):
    pass
