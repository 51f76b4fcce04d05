"""Re-encrypt stored columns with the first of `FIELD_ENCRYPTION_KEYS`."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Cast

from messaging import encryption
from messaging.models.encrypted import EncryptedJSONField, EncryptedTextField, fault_of, keys
from messaging.services.transitions import save_together

BATCH = 500


Column: TypeAlias = "models.Field[Any, Any]"  # Any: an encrypted column may hold text or JSON


def encrypted_columns(all_models: Iterable[type[models.Model]]) -> list[tuple[type[models.Model], Column]]:
    kinds = (EncryptedTextField, EncryptedJSONField)
    return [(model, field) for model in all_models for field in model._meta.concrete_fields if isinstance(field, kinds)]  # noqa: SLF001


def rotate(
    model: type[models.Model], field: Column, *, after_batch: Callable[[int], None] = lambda _total: None
) -> int:
    """Encrypt each row of the column with the first key, or decrypt it when there are no keys; return how many changed.

    Each batch is a transaction, and finished rows are not selected again: after an interruption, another call continues. Rows
    that cannot be decrypted are skipped; when all others are done, the first such fault is raised (`CannotBeOpened`).
    """
    total, last, fault = 0, None, None
    while True:
        with transaction.atomic():
            rows = list(_to_do(model, field, last)[:BATCH])
            faults = {row.pk: found for row in rows if (found := fault_of(row, field.name))}
            opened = [row for row in rows if row.pk not in faults]
            if opened:
                save_together(opened, [field.name])
        if not rows:
            break
        total, last = total + len(opened), rows[-1].pk
        fault = fault or next(iter(faults.values()), None)
        after_batch(total)
    if fault is not None:
        raise fault
    return total


def _to_do(model: type[models.Model], field: Column, last: object) -> models.QuerySet[models.Model]:
    stored = model._default_manager.annotate(stored=Cast(field.name, models.TextField()))  # noqa: SLF001
    quote = '"' if isinstance(field, EncryptedJSONField) else ""
    if current := encryption.current_mark(keys()):
        wrong = ~Q(stored__startswith=quote + current) & ~Q(stored__in=["", "{}"])
    else:
        sealed = quote + encryption.MARK
        wrong = Q(stored__startswith=sealed) & ~Q(stored__startswith=f"{sealed}{encryption.PLAIN}:")
    rows = stored.filter(wrong).select_for_update(of=("self",)).only(field.name).order_by("pk")
    return rows if last is None else rows.filter(pk__gt=last)
