"""The composition root as an application: so that Django finds its system checks, and starts what is set to be started."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings

from config import checks

# Setting: the module that does it. Whoever does not set it does not pay for the import.
ON_DEMAND = {"OTEL_EXPORTER_OTLP_ENDPOINT": "config.tracing", "SENTRY_DSN": "config.sentry"}


class ConfigConfig(AppConfig):
    name = "config"
    system_checks = checks  # importing them registers them

    def ready(self) -> None:
        for setting, module in ON_DEMAND.items():
            if getattr(settings, setting):
                import_module(module).start()
