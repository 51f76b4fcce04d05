"""Reports exceptions to Sentry. Imported only if SENTRY_DSN is set."""

from typing import Any

import sentry_sdk
from django.conf import settings

from config.logging import redact

# Where Sentry's integrations store content of requests and responses.
PRIVATE = ("data", "cookies", "headers", "query_string", "env")


def options() -> dict[str, Any]:
    return {
        "dsn": settings.SENTRY_DSN,
        "include_local_variables": False,
        "max_request_body_size": "never",
        "max_breadcrumbs": 0,
        "auto_session_tracking": False,
        # Providers and clients must not get our release and public key in trace headers.
        "trace_propagation_targets": [],
        "before_send": scrub,
    }


def start() -> None:
    sentry_sdk.init(**options())


def scrub(event: dict[str, Any], _hint: dict[str, Any]) -> dict[str, Any]:
    """Remove bodies, headers, query strings, variables and arguments, and mask phone numbers in the rest."""
    request = event.get("request", {})
    for name in PRIVATE:
        request.pop(name, None)
    for name in ("extra", "user", "breadcrumbs"):
        event.pop(name, None)
    event.get("contexts", {}).pop("celery-job", None)
    masked: dict[str, Any] = _masked(event)
    return masked


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items() if key != "vars"}
    return [_masked(item) for item in value] if isinstance(value, list) else value
