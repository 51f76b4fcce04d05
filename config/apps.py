"""The composition root as an application: registers system checks and starts optional integrations."""

from importlib import import_module

from django.apps import AppConfig, apps
from django.conf import settings

from config.logging import log_uncaught_exceptions

# Modules that are imported and started only if their setting is set.
INTEGRATIONS = {"OTEL_EXPORTER_OTLP_ENDPOINT": "config.tracing", "SENTRY_DSN": "config.sentry"}


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        import_module("config.celery")  # here, not in `config`: the supervisor imports that, too, and needs no Celery
        if apps.is_installed("messaging"):  # not in beat, see config.beat_settings
            import_module("config.checks")
        log_uncaught_exceptions()  # first, because Sentry wraps the installed hook
        for setting, module in INTEGRATIONS.items():
            if getattr(settings, setting):
                import_module(module).start()
