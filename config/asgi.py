"""ASGI entry point of every web process: the one of `make run`, and `web` and `live` of a deployment."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from config.handler import Handler  # noqa: E402 (models are there only now)
from config.live import Application  # noqa: E402

handler = Handler()
application = Application(handler)
