"""Twilio Verify: send a code, read and end its verification, and check the code.

There are no services here: any service SID is served, and shown again. A client's settings of its service are settings of this
installation.
"""

from datetime import datetime
from functools import partial
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from messaging import e164, log_context, notifier, one_time_codes, twilio_ids
from messaging.models import Verification
from messaging.services.errors import InvalidField, TooManySends, VerificationEnded, VerificationRefused
from messaging.services.representation import isoformat_utc
from messaging.services.verification import check as checks
from messaging.services.verification import texts
from messaging.services.verification.start import VerificationInput, start
from messaging.states import Status as MessageStatus
from messaging.twilio_api import errors, requests
from messaging.twilio_api.base import TwilioView, client_of, user_of
from messaging.twilio_api.errors import NOT_FOUND, TwilioError
from messaging.twilio_api.parameters import Parameters, parameters_of

SMS = "sms"
# Without them the text or the code would not be the one that the client asked for.
NOT_SERVED = ("CustomCode", "CustomMessage", "SendDigits", "Amount", "Payee")
MAY_ADD, MAY_CHANGE = "messaging.add_verification", "messaging.change_verification"

Status = Verification.Status


class VerificationsView(TwilioView):
    permissions = {"POST": MAY_ADD}

    def post(self, request: Request, service: str) -> Response:
        draft = _draft(parameters_of(request))
        try:
            started = start(
                owner=user_of(request), draft=draft, default_queue=settings.DEFAULT_QUEUE, now=timezone.now()
            )
        except TooManySends as refusal:
            raise TwilioError(errors.MAX_SENDS, wait=refusal.retry_after) from None
        except VerificationRefused as refusal:
            raise TwilioError(errors.TOO_MANY, refusal.detail, wait=refusal.retry_after) from None
        except InvalidField as refusal:
            raise TwilioError(errors.INVALID_PARAMETER, f"Invalid parameter: {refusal.field}") from None
        log_context.log_accepted([started.message.pk])
        if started.message.status == MessageStatus.QUEUED and started.message.queue_id:
            transaction.on_commit(partial(notifier.notify_queue, started.message.queue_id))
        return Response(_represent(started.verification, request, service), status=201)


class VerificationView(TwilioView):
    permissions = {"GET": "messaging.view_verification", "POST": MAY_CHANGE}

    def get(self, request: Request, service: str, sid: str) -> Response:
        return Response(_represent(_named(request, sid), request, service))

    def post(self, request: Request, service: str, sid: str) -> Response:
        row, status = _named(request, sid), (parameters_of(request).text("Status") or "").strip()
        end = {Status.CANCELED.value: checks.cancel, Status.APPROVED.value: checks.approve}.get(status)
        if end is None:
            raise TwilioError(errors.INVALID_PARAMETER, "Invalid parameter: Status")
        try:
            row = end(verification_id=row.pk, now=timezone.now())
        except (VerificationEnded, Verification.DoesNotExist):
            raise TwilioError(NOT_FOUND) from None
        return Response(_represent(row, request, service))


class VerificationCheckView(TwilioView):
    permissions = {"POST": MAY_CHANGE}

    def post(self, request: Request, service: str) -> Response:
        """404 once the verification is approved, canceled or expired, as Twilio answers."""
        fields, now = parameters_of(request), timezone.now()
        sid, code = (fields.text("VerificationSid") or "").strip(), (fields.text("Code") or "").strip()
        if not (code.isascii() and code.isdigit() and one_time_codes.SHORTEST <= len(code) <= one_time_codes.LONGEST):
            raise TwilioError(errors.INVALID_PARAMETER, "Invalid parameter: Code")
        row = _named(request, sid or requests.recipient(fields))
        try:
            found = checks.check(verification_id=row.pk, code=code, now=now)
        except (VerificationEnded, Verification.DoesNotExist):
            raise TwilioError(NOT_FOUND) from None
        row = found.verification
        if not found.is_valid and row.status in {Status.CANCELED, Status.EXPIRED}:
            raise TwilioError(NOT_FOUND)
        if row.status == Status.MAX_ATTEMPTS_REACHED and row.ended_at != now:
            raise TwilioError(errors.MAX_CHECKS)
        return Response(_represent_check(row, request, service))


def _draft(fields: Parameters) -> VerificationInput:
    for name in NOT_SERVED:
        if fields.text(name):
            raise TwilioError(errors.INVALID_PARAMETER, f"'{name}' is not served.")
    if (fields.text("Channel") or "").strip().lower() != SMS:
        raise TwilioError(errors.INVALID_PARAMETER, "Invalid parameter: Channel. Only 'sms' is served.")
    app_hash = (fields.text("AppHash") or "").strip()
    if app_hash and not texts.APP_HASH.fullmatch(app_hash):
        raise TwilioError(errors.INVALID_PARAMETER, "Invalid parameter: AppHash")
    address = (fields.text("DeviceIp") or "").strip()
    try:
        client_address = str(ip_address(address)) if address else ""
    except ValueError:
        raise TwilioError(errors.INVALID_PARAMETER, "Invalid parameter: DeviceIp") from None
    return VerificationInput(
        to=requests.recipient(fields),
        template=(fields.text("TemplateSid") or "").strip() or None,
        locale=(fields.text("Locale") or "").strip()[:20],
        app_hash=app_hash,
        client_address=client_address,
    )


def _named(request: Request, name: str) -> Verification:
    """By its SID, or the latest one by its number. Raises `TwilioError`."""
    own = Verification.objects.filter(owner=client_of(request).user.pk)
    verification_id: UUID | None = twilio_ids.verification_of(name)
    if verification_id is not None:
        row = own.filter(pk=verification_id).first()
    else:
        row = own.filter(to_number=_number(name)).order_by("-pk").first()
    if row is None:
        raise TwilioError(NOT_FOUND)
    return row


def _number(text: str) -> str:
    try:
        return e164.normalise(f"+{text.strip().lstrip('+')}")
    except e164.InvalidNumber:
        raise TwilioError(NOT_FOUND) from None


def _represent_check(row: Verification, request: Request, service: str) -> dict[str, Any]:
    return {
        "sid": twilio_ids.verification_sid(row.pk),
        "service_sid": service,
        "account_sid": client_of(request).account.sid,
        "to": row.to_number,
        "channel": SMS,
        "status": checks.status_at(row, timezone.now()),
        "valid": row.status == Status.APPROVED,
        "amount": None,
        "payee": None,
        "sna_attempts_error_codes": [],
        "date_created": _time(row.created_at),
        "date_updated": _time(row.updated_at),
    }


def _represent(row: Verification, request: Request, service: str) -> dict[str, Any]:
    body = _represent_check(row, request, service)
    del body["sna_attempts_error_codes"]
    sends = [
        {"attempt_sid": twilio_ids.attempt_sid(UUID(message_id)), "channel": SMS, "time": _time(row.last_sent_at)}
        for message_id in row.message_ids
    ]
    path = f"/v2/Services/{service}/Verifications/{body['sid']}"
    return {
        **body,
        "lookup": {"carrier": None},
        "send_code_attempts": sends,
        "sna": None,
        "url": request.build_absolute_uri(path),
    }


def _time(at: datetime) -> str | None:
    """As Twilio Verify writes times: `2026-12-01T09:00:00Z`."""
    return isoformat_utc(at.replace(microsecond=0))
