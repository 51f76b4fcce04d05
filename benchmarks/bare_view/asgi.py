"""The application, and its table, which `python -m benchmarks.bare_view.asgi` creates."""

import os

import django
from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.bare_view.settings"
application = get_asgi_application()


def create_table() -> None:
    from django.db import connection

    from benchmarks.bare_view.urls import Row

    django.setup()
    with connection.schema_editor() as editor:
        editor.create_model(Row)


if __name__ == "__main__":
    create_table()
