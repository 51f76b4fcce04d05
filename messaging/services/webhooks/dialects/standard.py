"""Standard Webhooks: our own event as JSON."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from standardwebhooks import Webhook

from messaging import event_types
from messaging.models import WebhookEndpoint
from messaging.services import events
from messaging.services.representation import isoformat_utc
from messaging.services.webhooks import secrets
from messaging.services.webhooks.dialects.base import ClientCall, Dialect, Occasion, SigningCredential


class StandardDialect(Dialect):
    is_signed = True

    def credentials(self, endpoints: Collection[WebhookEndpoint], *, now: datetime) -> Mapping[UUID, SigningCredential]:
        return {pk: SigningCredential(found) for pk, found in secrets.valid(endpoints, now=now).items()}

    def request(self, occasion: Occasion) -> ClientCall | None:
        event = occasion.event
        body = _test_event(occasion.now) if event is None else events.body(event, occasion.message)
        if body is None:
            return None
        encoded = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        return ClientCall("POST", occasion.url, {"Content-Type": "application/json"}, encoded)

    def signature(
        self, request: ClientCall, *, webhook_id: str, secrets: tuple[str, ...], now: datetime
    ) -> dict[str, str]:
        text = request.body.decode()
        return {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(Webhook(secret).sign(webhook_id, now, text) for secret in secrets),
        }


def _test_event(now: datetime) -> dict[str, Any]:
    return {"type": event_types.TEST, "timestamp": isoformat_utc(now), "data": {"message": "This is a test."}}
