"""After a new key was put first."""

from typing import Any

from django.apps import apps
from django.core.management import BaseCommand, CommandError

from messaging.encryption import CannotBeOpened
from messaging.services.privacy import key_rotation


class Command(BaseCommand):
    help = (
        "Puts every stored text under the first of FIELD_ENCRYPTION_KEYS, or into the clear when there is none. May be "
        "stopped at any time and started again; every process must have the new keys first."
    )

    def handle(self, **_options: Any) -> None:
        faults = []
        for model, field in key_rotation.encrypted_columns(apps.get_models()):
            name = f"{model._meta.label}.{field.name}"  # noqa: SLF001 (public in all but its name)
            try:
                total = key_rotation.rotate(model, field, after_batch=lambda done, name=name: self._told(name, done))
            except CannotBeOpened as error:
                faults.append(f"{name}: {error}")
            else:
                self.stdout.write(f"{name}: {total} rows")
        if faults:
            raise CommandError(
                f"{'; '.join(faults)}. All other rows are done; put a missing key back behind the first one"
            )

    def _told(self, name: str, done: int) -> None:
        if done % (20 * key_rotation.BATCH) == 0:
            self.stdout.write(f"{name}: {done} rows so far")
