"""One search for static files in a process: each test client makes a middleware, and each middleware would search again."""

from collections.abc import Callable
from typing import Any

from config.static_files import StaticFilesMiddleware


def remember() -> None:
    """A search looks at more than 200 files and takes 12 ms, which is more than most requests do."""
    for name in ("add_files", "add_files_from_finders"):
        setattr(StaticFilesMiddleware, name, _once(getattr(StaticFilesMiddleware, name)))


def _once(search: Callable[..., None]) -> Callable[..., None]:
    found: dict[tuple[str, ...], dict[str, Any]] = {}

    def remembered(middleware: StaticFilesMiddleware, *where: object, **prefix: object) -> None:
        key = tuple(map(str, (middleware.static_prefix, *where, *prefix.values())))
        if key not in found:
            before, middleware.files = middleware.files, {}
            search(middleware, *where, **prefix)
            found[key], middleware.files = middleware.files, before
        middleware.files.update(found[key])

    return remembered
