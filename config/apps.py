"""The composition root as an application: registers system checks and starts optional integrations."""

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

# Modules that are imported and started only if their setting is set.
INTEGRATIONS = {"OTEL_EXPORTER_OTLP_ENDPOINT": "config.tracing", "SENTRY_DSN": "config.sentry"}


class ConfigConfig(AppConfig):
    name = "config"
    system_checks = checks  # the import registers them

    def ready(self) -> None:
        import_module(
            "config.celery"
        )  # the application of all tasks; not in `config`, which the supervisor imports, too
        log_uncaught_exceptions()  # first, because Sentry wraps the installed hook
        for setting, module in INTEGRATIONS.items():
            if getattr(settings, setting):
                import_module(module).start()


class AdminConfig(SimpleAdminConfig):
    """Loads no admin pages: config.urls does that when a page is served. Workers, beat and commands do without them."""

    def ready(self) -> None:
        register(check_dependencies, Tags.admin)
        register(check_admin_pages, Tags.admin)


def check_admin_pages(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    import_module(settings.ROOT_URLCONF)
    return check_admin_app(app_configs, **options)
