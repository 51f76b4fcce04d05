"""The two wall times of quiet hours, as forms of queues and owners' policies have them."""

from typing import Any

from django import forms

from messaging.services.errors import InvalidField
from messaging.services.outbound import owner_policies

QUIET_LABELS = {"quiet_from": "Quiet from", "quiet_until": "Quiet until"}
QUIET_HELP = {
    "quiet_from": "Such as 21:00, in the recipient's own time. Messages wait; one-time passwords and emergencies do not.",
    "quiet_until": "Such as 08:00. An end before the beginning is on the next day.",
}


def check_quiet_hours(form: "forms.ModelForm[Any]") -> None:
    """Add an error if the two times are no quiet hours. Call it in `clean`."""
    if form.errors.keys() & QUIET_LABELS.keys():
        return
    times = [form.cleaned_data.get(name) for name in QUIET_LABELS]
    try:
        owner_policies.check_quiet_hours(*times)
    except InvalidField as error:
        form.add_error("quiet_until" if times[0] is not None else "quiet_from", error.detail)
