"""Refusals that only clients of Twilio's API meet."""

from messaging.services.errors import DomainError


class MediaNotFetched(DomainError):
    """A media URL is not public, does not respond, or does not lead to an image. Nothing was accepted."""

    code = "media_not_fetched"


class MediaUnavailable(DomainError):
    """Too many media URLs are being fetched; nothing was accepted."""

    code = "media_unavailable"


class MessageInProgress(DomainError):
    code = "message_in_progress"
