"""The look of the staff console: what every admin of ours is built on. It knows none of the other applications."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "console"
