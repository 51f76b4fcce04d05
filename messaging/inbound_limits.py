"""Limits of inbound texts, from the settings."""

from datetime import timedelta

from django.conf import settings

from messaging.services.inbound.receive import InboundLimits


def inbound_limits() -> InboundLimits:
    return InboundLimits(
        characters=settings.INBOUND_MAX_CHARACTERS,
        messages=settings.INBOUND_RATE_LIMIT,
        window=timedelta(seconds=settings.INBOUND_RATE_WINDOW),
        repeat_window=timedelta(seconds=settings.INBOUND_REPEAT_WINDOW),
    )
