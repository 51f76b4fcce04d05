"""The newest version of each template, as this process has read it within the last two seconds."""

import threading
import time
from collections.abc import Collection
from uuid import UUID

from django.db.models import F, Q

from messaging.models import TemplateVersion

REFRESH_SECONDS = 2.0
MAX_REMEMBERED = 10_000

_Key = tuple[int, str]


class _Memory:
    """Versions by owner and name or id. That there is none is remembered too."""

    def __init__(self) -> None:
        self._known: dict[_Key, tuple[float, TemplateVersion | None]] = {}
        self._generation = 0
        self._lock = threading.Lock()

    def load(self, owner_id: int, references: Collection[str]) -> dict[str, TemplateVersion | None]:
        """Return the version for each name or id that this owner may use; one query if one is not known or too old."""
        now = time.monotonic()
        found: dict[str, TemplateVersion | None] = {}
        for reference in set(references):
            read_at, version = self._known.get((owner_id, reference), (0.0, None))
            if read_at and now - read_at < REFRESH_SECONDS:
                found[reference] = version
        missing = set(references) - found.keys()
        return found | self._read(owner_id, missing) if missing else found

    def _read(self, owner_id: int, references: Collection[str]) -> dict[str, TemplateVersion | None]:
        generation, now = self._generation, time.monotonic()
        ids = [key for key in map(_as_uuid, references) if key]
        rows = TemplateVersion.objects.filter(
            Q(template__name__in=references) | Q(template_id__in=ids),
            Q(template__owner_id=owner_id) | Q(template__owner__isnull=True),
            template__archived_at__isnull=True,
            number=F("template__newest"),
        ).select_related("template")
        by_reference: dict[str, TemplateVersion] = {}
        # The owner's own come last, and win.
        for row in sorted(rows, key=lambda row: row.template.owner_id is not None):
            by_reference[row.template.name] = row
            by_reference[str(row.template_id)] = row
        found = {
            reference: by_reference.get(reference) or by_reference.get(_canonical(reference))
            for reference in references
        }
        with self._lock:
            if generation == self._generation:  # else one was saved meanwhile, and this may be from before
                if len(self._known) + len(found) > MAX_REMEMBERED:
                    self._known = {}
                self._known.update({(owner_id, reference): (now, version) for reference, version in found.items()})
        return found

    def forget(self) -> None:
        """Read all again: a template was saved by this process."""
        with self._lock:
            self._generation += 1
            self._known = {}


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _canonical(reference: str) -> str:
    key = _as_uuid(reference)
    return str(key) if key else reference


_memory = _Memory()
load = _memory.load
forget = _memory.forget
