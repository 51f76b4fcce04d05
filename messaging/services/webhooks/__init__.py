"""Telling clients what happened: endpoints and their secrets, and the deliveries to them."""

from messaging.services.webhooks.deliverer import Deliverer

__all__ = ["Deliverer"]
