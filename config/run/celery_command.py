"""Celery's command line without `celery amqp shell`, whose libraries would take a tenth of the memory of worker and beat."""

import sys
from types import ModuleType

_without_shell = ModuleType("click_repl")
_without_shell.register_repl = lambda _group: None  # type: ignore[attr-defined]
sys.modules["click_repl"] = _without_shell

from celery.__main__ import main  # noqa: E402 (after the line above, which it depends on)

if __name__ == "__main__":
    sys.exit(main())
