"""A worker with fault injection: `celery --app tests.journeys.chaos.worker worker`.

It follows files in the folder `CHAOS_ORDERS`: `die` names a step at which the first worker to reach it is killed;
`clock.<pid>` has the seconds by which the clock of that process is ahead; `hold` names a step at which the first worker to
reach it waits until the file, renamed to `held.<pid>`, is deleted.
"""

import functools
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import django
from celery import Celery
from django.conf import settings
from django.utils import timezone

from config.celery import app as application

DIE, CLOCK, HOLD, HELD = "die", "clock", "hold", "held"

app: Celery = application
folder = Path(os.environ["CHAOS_ORDERS"])
_passed: Counter[str] = Counter()
_now = timezone.now


def now() -> datetime:
    try:
        return _now() + timedelta(seconds=float((folder / f"{CLOCK}.{os.getpid()}").read_text()))
    except FileNotFoundError:
        return _now()


def passing(step: str) -> None:
    if _takes(DIE, step, f"died.{os.getpid()}"):
        os.kill(os.getpid(), signal.SIGKILL)
    held = f"{HELD}.{os.getpid()}"
    _takes(HOLD, step, held)
    while (order := _read(held)) is not None and order["step"] == step:
        time.sleep(0.01)


def _read(name: str) -> dict[str, Any] | None:
    """The order, or None without it: another worker may take it, and a test delete it, at any moment."""
    try:
        order: dict[str, Any] = json.loads((folder / name).read_text())
    except FileNotFoundError:
        return None
    return order


def _takes(order: str, step: str, taken: str) -> bool:
    """Whether the order applies to this step and process; one worker takes it by renaming its file to `taken`."""
    wanted = _read(order)
    if wanted is None or wanted["step"] != step:
        return False
    _passed[step] += 1
    if _passed[step] <= wanted["after"]:
        return False
    try:
        (folder / order).rename(folder / taken)
    except FileNotFoundError:
        return False
    return True


def between(step: Callable[..., Any], *, before: str = "", after: str = "") -> Callable[..., Any]:
    @functools.wraps(step)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        passing(before)
        answer = step(*args, **kwargs)
        passing(after)
        return answer

    return wrapped


timezone.now = now  # before other modules import it, so that the whole process uses this clock
django.setup()

from messaging import notifier, tasks  # noqa: E402 (after the clock and after Django)
from messaging.services.outbound.dispatch import Dispatcher, dispatcher, settle  # noqa: E402
from messaging.services.outbound.dispatch.attempts import FirstAttempts  # noqa: E402
from messaging.services.outbound.dispatch.sending import send  # noqa: E402
from providers.http import transport  # noqa: E402

transport.certificates = lambda: str(folder / "authority.pem")
_claim = dispatcher.claim


def claim(**options: Any) -> Any:  # Any: as the function itself
    claimed = _claim(**options)
    if claimed:
        passing("begun")
    return claimed


FirstAttempts.write = between(FirstAttempts.write, after="claimed")  # type: ignore[method-assign]  # inside the transaction
dispatcher.claim = claim
dispatcher.settle = between(dispatcher.settle, before="answered", after="settled")
settle.save_together = between(settle.save_together, after="settling")  # inside the transaction
tasks.dispatcher = Dispatcher(
    concurrency=settings.DISPATCH_CONCURRENCY,
    lease=timedelta(seconds=settings.CLAIM_LEASE_SECONDS),
    send=between(send, before="calling"),
    clock=now,
    after_settling=notifier.notify_webhooks,
)
