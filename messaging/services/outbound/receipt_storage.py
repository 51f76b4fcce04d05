"""Stores delivery receipts and malformed callbacks, each of them once."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from messaging import provider_ids
from messaging.models import DeliveryAttempt, ProviderCallback
from messaging.services.costs import prices
from messaging.services.outbound import receipt_matching
from messaging.services.privacy import fingerprints
from messaging.services.reporting.rollups import CounterBatch
from providers.contract.callbacks import StatusReport
from providers.models import ProviderAccount

State = ProviderCallback.State


def record(
    *,
    account: ProviderAccount,
    body: bytes,
    report: StatusReport | None,
    attempt_id: UUID | None,
    now: datetime,
    kind: str = ProviderCallback.Kind.STATUS,
    position: int | None = None,
    is_one_message: bool = True,
    note: str = "",
) -> ProviderCallback:
    """Store one authenticated callback, or return the stored row of the identical one. `report` is None if it is malformed.

    It is committed before the message is looked up: either `apply` finds the attempt by its provider id, or `match_parked`,
    which runs after that id is stored, finds this callback. `position` is the report's place among several of one body, which
    is then not stored: it is about other people, too. `is_one_message`: all of them have the same ids.
    `note` says what of a malformed one cannot be understood.
    """
    named, understood, text = None, {}, body
    if report is not None:
        named = receipt_matching.named_attempt(report, account=account, attempt_id=attempt_id, is_only=is_one_message)
        understood = _understood(report, named, account, now)
        text = body if position is None else _without_others(report, position)
    callback = ProviderCallback(
        provider=account,
        kind=kind,
        received_at=now,
        body=_storable(text),
        digest=_digest(account, body, attempt_id, position),
        **{"state": State.MALFORMED, "note": note[:200], **understood},
    )
    with transaction.atomic():
        found = _stored(callback)
        is_repeat = understood and found.pk != callback.pk
        again = receipt_matching.started_since(found, named) if is_repeat else None
        if again is not None:
            callback.digest = _digest(account, body, again.pk, position)
            found = _stored(callback)
        if understood and found.state == State.MALFORMED:
            # It arrived before, when the account's configuration could not parse it.
            same = ProviderCallback.objects.filter(pk=found.pk, state=State.MALFORMED)
            same.update(**understood)
            found.refresh_from_db()
        if found.pk == callback.pk and found.state == State.MALFORMED:
            tally = CounterBatch()
            tally.called_back(account.pk, State.MALFORMED, now=now)
            tally.write()
    return found


def of_attempt(
    attempt: DeliveryAttempt, report: StatusReport, *, account: ProviderAccount, body: bytes, digest: str, now: datetime
) -> ProviderCallback:
    """The callback, not saved, of a request whose address names the attempt and whose only report is this one."""
    return ProviderCallback(
        provider=account,
        received_at=now,
        body=_storable(body),
        digest=digest,
        **_understood(report, attempt, account, now),
    )


def insert(callback: ProviderCallback) -> bool:
    """Insert the callback. Returns False if the identical one is stored already.

    In SQL, because each receipt passes here, and `bulk_create` costs several times as much.
    """
    fields = ProviderCallback._meta.concrete_fields  # noqa: SLF001 (public in all but its name)
    quote = connection.ops.quote_name
    values = [field.get_db_prep_save(getattr(callback, field.attname), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(ProviderCallback._meta.db_table)} "  # noqa: S608, SLF001
            f"({', '.join(quote(str(field.column)) for field in fields)}) "
            f"VALUES ({', '.join(['%s'] * len(fields))}) ON CONFLICT DO NOTHING",
            values,
        )
        is_new: bool = cursor.rowcount == 1
    return is_new


def _storable(body: bytes) -> str:
    return body.decode("utf-8", "replace").replace("\x00", "\ufffd")


def _stored(callback: ProviderCallback) -> ProviderCallback:
    """This row, inserted, or the one with the same digest."""
    ProviderCallback.objects.bulk_create([callback], ignore_conflicts=True)
    return ProviderCallback.objects.select_related("attempt").get(provider=callback.provider_id, digest=callback.digest)


def digests(body: bytes, attempt_id: UUID | None, position: int | None = None) -> list[str]:
    """The digests of a callback: first the current one, then those of former values of `SECRET_KEY`."""
    purpose = ":".join(["callback", *(str(part) for part in (attempt_id, position) if part is not None)])
    return fingerprints.hmac_digest(purpose, body)


def _digest(account: ProviderAccount, body: bytes, attempt_id: UUID | None, position: int | None) -> str:
    """The digest under which the identical callback was stored before a change of `SECRET_KEY`, else the current one."""
    newest, *older = digests(body, attempt_id, position)
    if not older:
        return newest
    kept = ProviderCallback.objects.filter(provider=account, digest__in=older).values_list("digest", flat=True)
    return kept.first() or newest


def _understood(
    report: StatusReport, named: DeliveryAttempt | None, account: ProviderAccount, now: datetime
) -> dict[str, Any]:
    price = report.price
    return {
        "price": None if price is None else price.amount,
        "currency": "" if price is None else prices.currency_of(price, account),
        "state": State.UNMATCHED,
        "note": "",
        "match_at": now,
        "attempt": named,
        "provider_message_id": report.provider_message_id,
        "id_key": provider_ids.fold(report.provider_message_id) or report.provider_message_id,
        "reported": report.status,
        "word": report.raw_status[:64],
        "error_code": report.error_code[:64],
    }


def _without_others(report: StatusReport, position: int) -> bytes:
    content = {
        "report": position + 1,
        "message_id": report.provider_message_id,
        "status": report.raw_status,
        "error_code": report.error_code,
        "reference": report.reference,
    }
    return json.dumps(content).encode()
