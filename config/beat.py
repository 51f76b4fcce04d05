"""A beat scheduler that survives failures of the database and the broker, and invalid periodic tasks."""

import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import Celery, schedules, signals
from celery.beat import ScheduleEntry, SchedulingError, Service
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry
from kombu.exceptions import OperationalError as BrokerError

from config.beat_watchdog import Watchdog

logger = logging.getLogger(__name__)

INVALID_TASK_RETRY_SECONDS = 60.0
RETRY_SECONDS = 1.0
# A tick that sends a task is followed at once by one that finds the next; both would ask whether the rows have changed.
CHECK_CHANGES_SECONDS = 0.5


class BeatEntry(ModelEntry):
    """Tolerates invalid rows: staff edit them, and an interval may exceed what Python can express."""

    def __init__(self, model: PeriodicTask, app: Celery | None = None) -> None:
        try:
            super().__init__(model, app)
        except ArithmeticError as error:
            logger.error("periodic task %s is ignored: %s", model.name, error)
            raise ValueError(f"periodic task {model.name}") from error  # the scheduler skips such entries

    def is_due(self) -> schedules.schedstate:
        try:
            state: schedules.schedstate = super().is_due()
        except Exception as error:  # noqa: BLE001 (an invalid row must not stop the other tasks)
            logger.error("periodic task %s does not run: %s", self.name, error)
            return schedules.schedstate(is_due=False, next=INVALID_TASK_RETRY_SECONDS)
        return state


class Faults:
    """Current failures by name. Each is logged once when it begins and once when it ends."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def begin(self, name: str, error: BaseException, *, with_traceback: bool = False) -> None:
        if name not in self._since:
            self._since[name] = time.monotonic()
            logger.error(
                "%s failed, beat continues: %s", name, type(error).__name__, exc_info=error if with_traceback else None
            )

    def end(self, name: str) -> None:
        since = self._since.pop(name, None)
        if since is not None:
            logger.warning("%s works again after %.0f s", name, time.monotonic() - since)


class Scheduler(DatabaseScheduler):
    """`tick` raises only exceptions of signal handlers.

    While the database is unavailable, the tasks that were read last continue. While the broker is unavailable, a task that
    could not be sent waits until it is next due.
    """

    Entry = BeatEntry
    _schedule: dict[str, ModelEntry] | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.watchdog = Watchdog(Path(settings.BEAT_HEARTBEAT_FILE) if settings.BEAT_HEARTBEAT_FILE else None)
        self._faults = Faults()
        self._is_set_up = False
        self._must_read = False
        self._query_database_at = 0.0
        self._is_busy = False
        self._is_closed = False
        super().__init__(*args, **kwargs)
        connection_errors = self.app.connection_for_write().connection_errors
        self._broker_errors: tuple[type[BaseException], ...] = (BrokerError, *connection_errors)

    def setup_schedule(self) -> None:
        """Do nothing: the database may be unavailable. The first `tick` reads the schedule."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send due tasks and return the seconds until the next call."""
        self.watchdog.tick_started()
        self._is_busy = True
        try:
            if not self._is_set_up:
                super().setup_schedule()
                self._is_set_up = True
            pause = super().tick(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 (only a signal may end beat)
            self._failed("a tick", error)
            self._reset()
            return RETRY_SECONDS
        finally:
            self._is_busy = False
        self._faults.end("a tick")
        return pause

    # --- The database -------------------------------------------------------------------------------------------------

    def update_from_dict(self, mapping: dict[str, dict[str, Any]]) -> None:
        """Store the entries of the settings. Raises database errors, for which the base class would skip the entries."""
        entries: dict[str, ModelEntry] = {}
        for name, fields in mapping.items():
            try:
                entry = self.Entry.from_entry(name, app=self.app, **fields)
            except (DatabaseError, InterfaceError):
                raise
            except Exception as error:  # noqa: BLE001 (must not stop the other tasks)
                self._failed(f"storing periodic task {name}", error)
                continue
            if entry.model.enabled:
                entries[name] = entry
        self.schedule.update(entries)

    def schedule_changed(self) -> bool:
        """Ask the database, unless it was asked just now. Return False while it is unavailable."""
        if time.monotonic() < self._query_database_at:
            return False
        try:
            close_old_connections()
            seen, self._last_timestamp = self._last_timestamp, self.Changes.last_change()
        except (DatabaseError, InterfaceError) as error:
            self._failed("checking for changes", error)
            return False
        self._query_database_at = time.monotonic() + CHECK_CHANGES_SECONDS
        if not self._must_read:
            self._faults.end("the database")
        return self._must_read or bool(seen and self._last_timestamp and self._last_timestamp > seen)

    def all_as_schedule(self) -> dict[str, ModelEntry]:
        """Return the entries of all rows, or those read last. Raises `DatabaseError` if none were read yet."""
        try:
            entries: dict[str, ModelEntry] = super().all_as_schedule()
        except (DatabaseError, InterfaceError) as error:
            if self._schedule is None:
                self._initial_read = True
                raise
            self._must_read = True
            self._failed("reading the tasks", error)
            return self._entries_read_last()
        self._must_read = False
        self._faults.end("the database")
        return entries

    def sync(self) -> None:
        """Store when each task last ran. Never raises: unwritten times are stored by the next call."""
        was_busy, self._is_busy = self._is_busy, True
        try:
            close_old_connections()
            entries = self._schedule or {}
            for name in list(self._dirty):
                with suppress(KeyError, TypeError, ObjectDoesNotExist):  # the row was deleted
                    entries[name].save()
                self._dirty.discard(name)
        except Exception as error:  # noqa: BLE001 (only a signal may end beat)
            self._faults.begin("writing the last runs", error)
        else:
            self._faults.end("writing the last runs")
        finally:
            self._is_busy = was_busy

    def close(self) -> None:
        """Store the last runs and disconnect. Celery calls this in its signal handler and again after the loop.

        The first call does the work, unless the signal interrupted a query: then the second one does.
        """
        if self._is_busy or self._is_closed:
            return
        self._is_closed = True
        self._finalize.cancel()  # would store the last runs again when the interpreter exits
        connections.close_all()  # an interrupted query may be unfinished
        super().close()

    def _entries_read_last(self) -> dict[str, ModelEntry]:
        """Create new entries from the rows in memory: an entry keeps the last run from its creation, its row is current."""
        entries: dict[str, ModelEntry] = {}
        for name, entry in (self._schedule or {}).items():
            with suppress(Exception):  # an invalid row must not stop the other tasks
                entries[name] = self.Entry(entry.model, app=self.app)
        return entries

    def _reset(self) -> None:
        """Rebuild the heap, because an exception during a tick may have removed an entry from it."""
        self._heap = None  # type: ignore[assignment]  # Celery rebuilds it; celery-types does not know None
        self._must_read = True
        if self._schedule is not None:
            self._schedule = self._entries_read_last()

    # --- The broker ---------------------------------------------------------------------------------------------------

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:  # noqa: BLE001 (must not stop the other tasks)
            self._failed(f"sending periodic task {entry.name}", error)
        else:
            self._faults.end("the broker")
            self._faults.end(f"sending periodic task {entry.name}")

    def _ensure_connected(self) -> Any:
        """Connect with a single attempt: the base class would block for up to an hour."""
        return self.connection.ensure_connection(max_retries=0)

    def _failed(self, what: str, error: Exception) -> None:
        cause = error.__context__ if isinstance(error, SchedulingError) and error.__context__ else error
        if isinstance(cause, (DatabaseError, InterfaceError)):
            self._query_database_at = time.monotonic() + RETRY_SECONDS
            self._faults.begin("the database", cause)
        elif isinstance(cause, self._broker_errors):
            self._faults.begin("the broker", cause)
        else:
            self._faults.begin(what, cause, with_traceback=True)


@signals.beat_init.connect
def start_watchdog(sender: Service, **_: Any) -> None:
    if isinstance(sender.scheduler, Scheduler):
        sender.scheduler.watchdog.start()
