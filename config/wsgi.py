"""WSGI entry point, for tools that call the program in their own process.

Serve `config.asgi` instead: under a WSGI server a slow client's body keeps a thread waiting.
"""

import os

from django.core.wsgi import get_wsgi_application

from config.requests import Utf8WSGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
application.request_class = Utf8WSGIRequest
