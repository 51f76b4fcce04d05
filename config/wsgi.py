"""WSGI entry point: the `web` process."""

import os

from django.core.wsgi import get_wsgi_application

from config.requests import Utf8WSGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
application.request_class = Utf8WSGIRequest
