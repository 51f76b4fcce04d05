"""ASGI entry point of all web processes: of `make run`, and of `web` and `live` in a deployment."""

import gc
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from config.handler import Handler  # noqa: E402 (needs the models)
from config.live import LiveApplication  # noqa: E402

handler = Handler()
application = LiveApplication(handler)

# Objects that live as long as the process are excluded from full collections. These become cheap and frequent, and free the
# view, request and response objects of REST framework, which refer to each other.
gc.collect()
gc.freeze()
