"""The composition root. Importing it makes the Celery app current, so that every process publishes to Redis."""

from overlord.celery import app as celery_app

__all__ = ["celery_app"]
