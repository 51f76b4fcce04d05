"""The composition root as an application: so that Django finds its system checks, and starts what is set to be started."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register

from config import checks
from config.logging import log_uncaught_exceptions

# Setting: the module that does it. Whoever does not set it does not pay for the import.
ON_DEMAND = {"OTEL_EXPORTER_OTLP_ENDPOINT": "config.tracing", "SENTRY_DSN": "config.sentry"}


class ConfigConfig(AppConfig):
    name = "config"
    system_checks = checks  # importing them registers them

    def ready(self) -> None:
        log_uncaught_exceptions()  # first: Sentry puts its own hook around this one
        for setting, module in ON_DEMAND.items():
            if getattr(settings, setting):
                import_module(module).start()


class AdminConfig(SimpleAdminConfig):
    """Who serves no page (workers, beat, commands) does not load those of the admin: config.urls does, when it is needed."""

    def ready(self) -> None:
        register(check_dependencies, Tags.admin)
        register(check_admin_pages, Tags.admin)


def check_admin_pages(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    import_module(settings.ROOT_URLCONF)
    return check_admin_app(app_configs, **options)
