"""Examples for the OpenAPI document."""

import json

from drf_spectacular.utils import OpenApiExample

_MESSAGE = {
    "id": "0191d2a4-7c1e-7b3a-9f10-2f6f3f1c9a55",
    "direction": "outbound",
    "from": "+15005550006",
    "to": "+14155550101",
    "message": "Your code is 123456",
    "status": "queued",
    "queue": "express",
    "encoding": "gsm7",
    "segments": 1,
    "reference": "order-42",
    "provider": None,
    "provider_message_id": None,
    "attempts": 0,
    "error": None,
    "schedule": None,
    "media": [],
    "send_at": None,
    "created_at": "2026-11-22T09:00:00.123456Z",
    "sent_at": None,
    "delivered_at": None,
    "updated_at": "2026-11-22T09:00:00.123456Z",
}

NEW_MESSAGE = [
    OpenApiExample("Minimal", value={"to": "+14155550101", "message": "Your code is 123456"}, request_only=True),
    OpenApiExample(
        "All fields",
        value={
            "to": "+1 (415) 555-0101",
            "message": "Your code is 123456",
            "from": "+15005550006",
            "queue": "express",
            "send_at": "2026-12-01T09:00:00+01:00",
            "valid_for": 14400,
            "reference": "order-42",
            "media": [],
            "callback_url": None,
        },
        request_only=True,
    ),
    OpenApiExample(
        "From a name",
        value={"to": "+4915112345678", "message": "Your parcel is here", "from": "ACME"},
        request_only=True,
    ),
    OpenApiExample("Accepted", value=_MESSAGE, response_only=True, status_codes=["202"]),
]

_SENT = {
    **_MESSAGE,
    "status": "sent",
    "provider": "acme",
    "provider_message_id": "SM4711",
    "attempts": 1,
    "sent_at": "2026-11-22T09:00:00.471100Z",
    "updated_at": "2026-11-22T09:00:00.471100Z",
}
_EVENT = {"type": "message.sent", "timestamp": _SENT["updated_at"], "sequence": 4711, "data": _SENT}

STREAM = [
    OpenApiExample(
        "One event",
        value=f"retry: 2000\nid: 4710\n\nid: 4711\nevent: message.sent\ndata: {json.dumps(_EVENT)}\n\n:\n",
        response_only=True,
        media_type="text/event-stream",
    ),
]
