"""Which environment variables an account's configuration may name.

Whoever may edit an account chooses where its secrets are sent, so only the providers' own may be read, never the program's.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

# The program's secrets, and those of the services that it is run with. No pattern allows them.
OF_THE_PROGRAM: Final = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "DATABASE_URL",
    "REDIS_URL",
    "FIELD_ENCRYPTION_KEYS",
    "MEDIA_STORAGE_URL",
    "METRICS_TOKEN",
    "SENTRY_DSN",
    "OTEL_*",
    "DJANGO_*",
    "POSTGRES_*",
    "PG*",
    "REDIS_*",
    "REDISCLI_AUTH",
)


def may_be_read(name: str, patterns: Sequence[str]) -> bool:
    """Whether a configuration may name this variable. `patterns` are those of `PROVIDER_SECRET_NAMES`: `*` is any text."""
    return _matches(name, patterns) and not _matches(name, OF_THE_PROGRAM)


def refusal(name: str) -> str:
    return (
        f"environment variable {name} may not be read: it is not on PROVIDER_SECRET_NAMES, or it is the program's own"
    )


def references(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the place (`headers.X-Api-Key`) and the variable of each `{"env": "NAME"}` in a configuration."""
    if isinstance(value, dict):
        if set(value) == {"env"} and isinstance(value["env"], str):
            yield ".".join(path), value["env"]
            return
        for key, item in value.items():
            yield from references(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from references(item, (*path, str(index)))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
