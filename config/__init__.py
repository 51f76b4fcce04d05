from scheduling import zone_data

zone_data.use_pinned()  # every process imports this package first: before anything builds a zone

from config.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
