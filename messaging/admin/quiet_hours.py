"""The two wall times of quiet hours, as forms of queues and owners' policies have them."""

from typing import Any

from django import forms

from messaging.console.forms import StyledModelForm
from messaging.services.errors import InvalidField
from messaging.services.outbound import owner_policies

QUIET_LABELS = {"quiet_from": "Quiet from", "quiet_until": "Quiet until"}
QUIET_HELP = {
    "quiet_from": "Such as 21:00, in the recipient's own time. Messages wait; one-time passwords and emergencies do not.",
    "quiet_until": "Such as 08:00. An end before the beginning is on the next day.",
}


class QuietHoursForm(StyledModelForm):
    """A form with the two times, which it shows without seconds and checks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in QUIET_LABELS.keys() & self.fields.keys():
            widget = self.fields[name].widget
            if isinstance(widget, forms.TimeInput):
                widget.format = "%H:%M"

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors.keys() & QUIET_LABELS.keys():
            return cleaned
        times = [cleaned.get(name) for name in QUIET_LABELS]
        try:
            owner_policies.check_quiet_hours(*times)
        except InvalidField as error:
            self.add_error("quiet_until" if times[0] is not None else "quiet_from", error.detail)
        return cleaned
