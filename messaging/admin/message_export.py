"""Columns of the CSV export of messages."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from messaging.admin import text_privacy
from messaging.models import Message


def columns(*, readable: bool) -> dict[str, Callable[[Message], Any]]:
    return {
        "id": lambda row: row.pk,
        "created_at": lambda row: _utc(row.created_at),
        "direction": lambda row: row.direction,
        "status": lambda row: row.status,
        "from": lambda row: row.from_number,
        "to": lambda row: row.to_number,
        "text": lambda row: text_privacy.shown_text(row, readable=readable),
        "segments": lambda row: row.segments,
        "queue": lambda row: row.queue_id,
        "provider": lambda row: row.provider_id,
        "provider_message_id": lambda row: row.provider_message_id,
        "reference": lambda row: row.reference,
        "attempts": lambda row: row.attempts,
        "error_code": lambda row: row.error_code,
        "error_detail": lambda row: row.error_detail,
        "sent_at": lambda row: _utc(row.sent_at),
        "delivered_at": lambda row: _utc(row.delivered_at),
    }


def _utc(value: datetime | None) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if value else ""
