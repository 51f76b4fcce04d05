"""Alert receivers: find one by its name, and check what staff enter for one."""

from collections.abc import Iterable

from django.contrib.auth.models import User

from messaging import e164, sealing
from messaging.models import AlertReceiver
from messaging.services.alerts import hooks, texts
from messaging.services.alerts.notices import MAX_RECIPIENTS
from messaging.services.errors import InvalidField

Kind = AlertReceiver.Kind


def named(name: str, *, owner: User) -> AlertReceiver:
    """The owner's receiver of alerts. Raises `InvalidField`."""
    found = AlertReceiver.objects.filter(name=name.replace("\0", ""), owner=owner, kind=Kind.ALERTS).first()
    if found is None:
        raise InvalidField("receiver", "unknown_receiver", "You have no receiver of alerts with this name.")
    if not found.recipients:
        raise InvalidField("receiver", "no_recipients", "This receiver of alerts has no recipients.")
    found.owner = owner
    return found


def read_recipients(numbers: Iterable[str], *, field: str) -> tuple[str, ...]:
    """Each number once, in E.164. Raises `InvalidField` for one that is none, and for too many."""
    found: dict[str, None] = {}
    for number in numbers:
        try:
            found[e164.normalise(number)] = None
        except e164.InvalidNumber as error:
            raise InvalidField(field, error.code, str(error)) from None
        if len(found) > MAX_RECIPIENTS:
            raise InvalidField(field, "too_many", f"There are at most {MAX_RECIPIENTS} recipients.")
    return tuple(found)


def check(receiver: AlertReceiver) -> None:
    """Check the fields against each other. Raises `InvalidField`."""
    is_hook = receiver.kind == Kind.SUPABASE
    if is_hook and receiver.recipients:
        raise InvalidField("recipients", "not_for_hooks", "The hook names the recipient of each password.")
    if not is_hook and not receiver.recipients:
        raise InvalidField("recipients", "required", "Give at least one number.")
    if receiver.template:
        texts.check_template(receiver.template, texts.PASSWORD_VARIABLES if is_hook else texts.ALERT_VARIABLES)
        if is_hook and "{otp}" not in receiver.template:
            raise InvalidField("template", "password_missing", "The text needs {otp}.")


def set_secret(receiver: AlertReceiver, text: str) -> None:
    """Seal the hook's secret, as its settings page shows it. Raises `InvalidField`."""
    hooks.read_secrets(text)
    receiver.secret = sealing.seal(hooks.PURPOSE, text.strip())
