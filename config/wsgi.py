"""WSGI entry point, for tools that run the application in their own process.

Servers should use `config.asgi`: under WSGI a slow client's body blocks a thread.
"""

import os

from django.core.wsgi import get_wsgi_application

from config.requests import Utf8WSGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
application.request_class = Utf8WSGIRequest
