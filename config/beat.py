"""Beat, which outlives faults of the database and of the broker, and rows of tasks that make no sense."""

import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import Celery, schedules, signals
from celery.beat import SchedulingError, Service
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry
from kombu.exceptions import OperationalError as BrokerError

from config.beat_watchdog import Watchdog

logger = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 60.0
RETRY_SECONDS = 1.0


class BeatEntry(ModelEntry):
    """Staff write these rows: one may have an interval that no clock can express."""

    def __init__(self, model: PeriodicTask, app: Celery | None = None) -> None:
        try:
            super().__init__(model, app)
        except ArithmeticError as error:
            logger.error("periodic task %s is left out: %s", model.name, error)
            raise ValueError(f"periodic task {model.name}") from error  # what the scheduler leaves out

    def is_due(self) -> schedules.schedstate:
        try:
            return super().is_due()
        except Exception as error:  # noqa: BLE001 (whatever is wrong with this row, the others are due)
            logger.error("periodic task %s does not run: %s", self.name, error)
            return schedules.schedstate(is_due=False, next=ASK_AGAIN_SECONDS)


class Faults:
    """What does not work at present. Each is logged when it begins and when it is over, however often it is met."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def met(self, name: str, error: Exception, *, with_traceback: bool = False) -> None:
        if name not in self._since:
            self._since[name] = time.monotonic()
            logger.error(
                "%s failed, beat goes on: %s", name, type(error).__name__, exc_info=error if with_traceback else None
            )

    def over(self, name: str) -> None:
        since = self._since.pop(name, None)
        if since is not None:
            logger.warning("%s works again after %.0f s", name, time.monotonic() - since)


class Scheduler(DatabaseScheduler):
    """`tick` raises nothing but what a signal raises.

    While the database cannot be read, the tasks that were read last go on; while the broker takes no task, each waits for its
    next time.
    """

    Entry = BeatEntry

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.watchdog = Watchdog(Path(settings.BEAT_HEARTBEAT_FILE) if settings.BEAT_HEARTBEAT_FILE else None)
        self._faults = Faults()
        self._is_set_up = False
        self._must_read = False
        self._ask_database_at = 0.0
        self._is_busy = False
        self._is_closed = False
        super().__init__(*args, **kwargs)
        self._broker_errors = (BrokerError, *self.app.connection_for_write().connection_errors)

    def setup_schedule(self) -> None:
        """Left to the first `tick`: the database may not answer yet."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due and return the seconds until the next call."""
        self.watchdog.tick_started()
        self._is_busy = True
        try:
            if not self._is_set_up:
                super().setup_schedule()
                self._is_set_up = True
            pause = super().tick(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 (beat ends by a signal only)
            self._failed("a pass", error)
            self._start_over()
            return RETRY_SECONDS
        finally:
            self._is_busy = False
        self._faults.over("a pass")
        return pause

    # --- The database -------------------------------------------------------------------------------------------------

    def update_from_dict(self, mapping: dict[str, dict[str, Any]]) -> None:
        """Store the entries of the settings. Raises faults of the database: the base class would leave the entries out."""
        entries: dict[str, ModelEntry] = {}
        for name, fields in mapping.items():
            try:
                entry = self.Entry.from_entry(name, app=self.app, **fields)
            except (DatabaseError, InterfaceError):
                raise
            except Exception as error:  # noqa: BLE001 (the other tasks are stored)
                self._failed(f"storing periodic task {name}", error)
                continue
            if entry.model.enabled:
                entries[name] = entry
        self.schedule.update(entries)

    def schedule_changed(self) -> bool:
        """False while the database cannot be asked, which is tried once a second."""
        if time.monotonic() < self._ask_database_at:
            return False
        try:
            close_old_connections()
            seen, self._last_timestamp = self._last_timestamp, self.Changes.last_change()
        except (DatabaseError, InterfaceError) as error:
            self._failed("asking for changes", error)
            return False
        if not self._must_read:
            self._faults.over("the database")
        return self._must_read or bool(seen and self._last_timestamp and self._last_timestamp > seen)

    def all_as_schedule(self) -> dict[str, ModelEntry]:
        """The entries of all rows, or those that were read last. Raises `DatabaseError` if none have been read."""
        try:
            entries = super().all_as_schedule()
        except (DatabaseError, InterfaceError) as error:
            if self._schedule is None:
                self._initial_read = True
                raise
            self._must_read = True
            self._failed("reading the tasks", error)
            return self._entries_read_last()
        self._must_read = False
        self._faults.over("the database")
        return entries

    def sync(self) -> None:
        """Write when each task last ran. Raises nothing: what cannot be written stays for the next time."""
        was_busy, self._is_busy = self._is_busy, True
        try:
            close_old_connections()
            for name in list(self._dirty):
                with suppress(KeyError, TypeError, ObjectDoesNotExist):  # the row is gone
                    self._schedule[name].save()
                self._dirty.discard(name)
        except Exception as error:  # noqa: BLE001 (beat ends by a signal only)
            self._faults.met("writing the last runs", error)
        else:
            self._faults.over("writing the last runs")
        finally:
            self._is_busy = was_busy

    def close(self) -> None:
        """Write the last runs and disconnect. Celery calls it in its signal handler and once more when the loop has ended.

        Only one of the calls acts: the second one where the signal has interrupted a query, else the first.
        """
        if self._is_busy or self._is_closed:
            return
        self._is_closed = True
        self._finalize.cancel()  # it would write once more when the interpreter ends
        connections.close_all()  # the interrupted query may be unfinished
        super().close()

    def _entries_read_last(self) -> dict[str, ModelEntry]:
        """Made anew: an entry keeps the last run that it was made with, its row has the current one."""
        entries: dict[str, ModelEntry] = {}
        for name, entry in self._schedule.items():
            with suppress(Exception):  # whatever it is, it keeps no other task back
                entries[name] = self.Entry(entry.model, app=self.app)
        return entries

    def _start_over(self) -> None:
        """An exception in the middle of a pass may have taken an entry out of the heap."""
        self._heap = None
        self._must_read = True
        if self._schedule is not None:
            self._schedule = self._entries_read_last()

    # --- The broker ---------------------------------------------------------------------------------------------------

    def apply_entry(self, entry: ModelEntry, producer: Any = None) -> None:
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:  # noqa: BLE001 (the other tasks are due)
            self._failed(f"sending periodic task {entry.name}", error)
        else:
            self._faults.over("the broker")
            self._faults.over(f"sending periodic task {entry.name}")

    def _ensure_connected(self) -> Any:
        """One try: the base class would stand still for up to an hour."""
        return self.connection.ensure_connection(max_retries=0)

    def _failed(self, what: str, error: Exception) -> None:
        cause = error.__context__ if isinstance(error, SchedulingError) and error.__context__ else error
        if isinstance(cause, (DatabaseError, InterfaceError)):
            self._ask_database_at = time.monotonic() + RETRY_SECONDS
            self._faults.met("the database", cause)
        elif isinstance(cause, self._broker_errors):
            self._faults.met("the broker", cause)
        else:
            self._faults.met(what, cause, with_traceback=True)


@signals.beat_init.connect
def watch(sender: Service, **_: Any) -> None:
    sender.scheduler.watchdog.start()
