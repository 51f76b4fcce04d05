from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Only so that Django finds the system checks of the composition root."""

    name = "config"
