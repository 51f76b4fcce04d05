"""ASGI entry point of every web process: the one of `make run`, and `web` and `live` of a deployment."""

import gc
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from config.handler import Handler  # noqa: E402 (models are there only now)
from config.live import LiveApplication  # noqa: E402

handler = Handler()
application = LiveApplication(handler)

# What lives as long as the process is not looked at again by each full collection. So these are cheap, come often, and release
# what requests leave behind: view, request and response of REST framework refer to each other.
gc.collect()
gc.freeze()
