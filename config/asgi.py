"""ASGI entry point: the one process of `make run`, and the `live` process of a deployment."""

import os

from django.core.asgi import get_asgi_application

from config.requests import Utf8ASGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

django = get_asgi_application()
django.request_class = Utf8ASGIRequest

from config.live import Application  # noqa: E402 (models are there only now)

application = Application(django)
