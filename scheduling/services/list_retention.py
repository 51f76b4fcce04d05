"""Removes lists that were never saved, files without a list, and in the end the refused rows and the names of files."""

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from messaging.services.errors import NotErasable
from messaging.services.privacy.retention import loose_callback_retention
from scheduling.list_search import may_have
from scheduling.models import ListImport
from scheduling.services import list_files, list_imports
from scheduling.services.errors import ListDecided, ListUnreadable

WAITS = timedelta(hours=24)
# A younger file without a waiting list is about to get one, or to be removed.
ORPHAN_AGE = timedelta(hours=1)
AT_ONCE = 100


def sweep(*, now: datetime) -> None:
    """Discard lists that have waited for a day, delete files of lists that do not wait, and forget refused rows."""
    for list_id in list_imports.waiting().filter(created_at__lte=now - WAITS).values_list("pk", flat=True)[:AT_ONCE]:
        with suppress(ListDecided):
            list_imports.discard(list_id=list_id, actor=None, now=now)
    old = [each for each in list_files.stored_ids() if list_files.made_at(each) <= now - ORPHAN_AGE]
    kept = set(list_imports.waiting().filter(pk__in=old).values_list("pk", flat=True))
    for list_id in set(old) - kept:
        list_files.remove(list_id)
    ended = ListImport.objects.exclude(file_name="").exclude(status=ListImport.Status.CHECKED)
    ended.filter(created_at__lte=now - loose_callback_retention()).update(file_name="", refusals=[])


def discard_with(number: str, *, now: datetime) -> int:
    """Discard the waiting lists in which the number may be; returns how many. Lists that cannot be read are discarded too.

    Raises `NotErasable` while such a list is being saved.
    """
    discarded = 0
    for list_id in list(list_imports.waiting().values_list("pk", flat=True)):
        if not may_have_number(list_id, number):
            continue
        try:
            list_imports.discard(list_id=list_id, actor=None, now=now)
        except ListDecided:
            if list_imports.waiting().filter(pk=list_id).exists():
                raise NotErasable("A list that may have this number is being saved; try again in a minute.") from None
        discarded += 1
    return discarded


def may_have_number(list_id: UUID, number: str) -> bool:
    try:
        with list_files.opened(list_id) as stream:
            return may_have(stream, number)
    except ListUnreadable:
        return True
