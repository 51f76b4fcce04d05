"""The type of Django's `get_response`, for middleware that serves sync and async handlers."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

# Any: a response, or an awaitable of one for an async handler. `iscoroutinefunction` distinguishes them, at run time only.
GetResponse = Callable[[HttpRequest], Any]
