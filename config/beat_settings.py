"""Settings of beat, which needs its schedule and nothing else: without the other applications it takes half of the memory.

It sends tasks by their names, so it does not import them either.
"""

from config.settings import *  # noqa: F403

INSTALLED_APPS = ["django_celery_beat", "config.apps.ConfigConfig"]
