"""Re-encrypt all stored texts with the first key."""

from functools import partial
from typing import Any

from django.apps import apps
from django.core.management import BaseCommand, CommandError

from messaging.encryption import CannotBeOpened
from messaging.services.privacy import key_rotation


class Command(BaseCommand):
    help = (
        "Encrypts every stored text with the first of FIELD_ENCRYPTION_KEYS, or decrypts it when there is none. May be "
        "stopped at any time and started again. Every process must have the new keys first."
    )

    def handle(self, **_options: Any) -> None:
        faults = []
        for model, field in key_rotation.encrypted_columns(apps.get_models()):
            name = f"{model._meta.label}.{field.name}"  # noqa: SLF001 (public in all but its name)
            try:
                total = key_rotation.rotate(model, field, after_batch=partial(self._report, name))
            except CannotBeOpened as error:
                faults.append(f"{name}: {error}")
            else:
                self.stdout.write(f"{name}: {total} rows")
        if faults:
            raise CommandError(
                f"{'; '.join(faults)}. All other rows are done; add the missing key again after the first one"
            )

    def _report(self, name: str, done: int) -> None:
        if done % (20 * key_rotation.BATCH) == 0:
            self.stdout.write(f"{name}: {done} rows so far")
