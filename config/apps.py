"""The composition root as an application: so that Django finds its system checks."""

from django.apps import AppConfig

from config import checks


class ConfigConfig(AppConfig):
    name = "config"
    system_checks = checks  # importing them registers them
