from scheduling import zone_data

zone_data.use_pinned()  # before any zone is read: every process imports this package first

from config.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
