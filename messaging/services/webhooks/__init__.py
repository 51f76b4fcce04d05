"""Webhooks: endpoints and their secrets, the event log, and deliveries."""

from messaging.services.webhooks.deliverer import Deliverer

__all__ = ["Deliverer"]
