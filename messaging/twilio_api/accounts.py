"""The account, its balance and its numbers: what "test the connection" and set-up pages ask for."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from messaging import twilio_ids
from messaging.models import TwilioAccount
from messaging.services.twilio import numbers
from messaging.twilio_api.base import VERSION, TwilioView, account_path, client_of, rfc_2822, user_of
from messaging.twilio_api.errors import ACCESS_DENIED, BAD_REQUEST, BAD_URL, TwilioError
from messaging.twilio_api.pages import page_body, page_request
from messaging.twilio_api.parameters import parameters_of
from messaging.twilio_api.requests import callback_url
from providers.http.public_addresses import Guard
from providers.models import SenderNumber

# Nothing is charged here. Programs that watch the balance of an account must not raise an alarm.
BALANCE, CURRENCY = "999999.99", "USD"
METHOD = "POST"
MAY_CHANGE = "messaging.change_webhookendpoint"
_UNSET: dict[str, Any] = dict.fromkeys(
    (
        *("address_sid", "identity_sid", "sms_application_sid", "trunk_sid", "voice_application_sid", "bundle_sid"),
        *("emergency_address_sid", "sms_fallback_url", "status_callback", "voice_fallback_url", "voice_url"),
    )
)


class AccountListView(TwilioView):
    permissions = {}

    def get(self, request: Request) -> Response:
        account = client_of(request).account
        wanted = page_request(request.query_params)
        rows = [_represent_account(account, user_of(request).get_username())]
        path = f"/{VERSION}/Accounts.json"
        return Response(page_body("accounts", rows, path=path, filters={}, request=wanted))


class AccountView(TwilioView):
    permissions = {}

    def get(self, request: Request, account: str) -> Response:
        return Response(_represent_account(client_of(request).account, user_of(request).get_username()))


class BalanceView(TwilioView):
    permissions = {}

    def get(self, request: Request, account: str) -> Response:
        return Response({"account_sid": account, "balance": BALANCE, "currency": CURRENCY})


def _represent_account(account: TwilioAccount, name: str) -> dict[str, Any]:
    path = account_path(account.sid)
    return {
        "auth_token": None,  # is shown once, when it is issued
        "date_created": rfc_2822(account.created_at),
        "date_updated": rfc_2822(account.created_at),
        "friendly_name": name,
        "owner_account_sid": account.sid,
        "sid": account.sid,
        "status": "active",
        "subresource_uris": {
            "balance": f"{path}/Balance.json",
            "incoming_phone_numbers": f"{path}/IncomingPhoneNumbers.json",
            "messages": f"{path}/Messages.json",
        },
        "type": "Full",
        "uri": f"{path}.json",
    }


class NumberListView(TwilioView):
    def get(self, request: Request, account: str) -> Response:
        query, wanted, user = request.query_params, page_request(request.query_params), user_of(request)
        rows = numbers.numbers_of(user)
        if part := query.get("PhoneNumber", "").replace("\0", "?").strip():
            rows = rows.filter(number__contains=part.removeprefix("+"))
        if wanted.before:
            found = list(rows.filter(pk__lt=wanted.before.int).order_by("-pk")[: wanted.size + 1])[::-1]
            has_next, has_previous = True, len(found) > wanted.size
            shown = found[-wanted.size :]
        else:
            found = list(rows.filter(pk__gt=wanted.after.int if wanted.after else 0)[: wanted.size + 1])
            has_next, has_previous = len(found) > wanted.size, wanted.after is not None
            shown = found[: wanted.size]
        urls = numbers.sms_urls(user, [row.number for row in shown])
        body = page_body(
            "incoming_phone_numbers",
            [_represent_number(row, account, urls.get(row.number, "")) for row in shown],
            path=f"{account_path(account)}/IncomingPhoneNumbers.json",
            filters={"PhoneNumber": part} if part else {},
            request=wanted,
            next_key=UUID(int=shown[-1].pk) if shown and has_next else None,
            previous_key=UUID(int=shown[0].pk) if shown and has_previous else None,
        )
        return Response(body)


class NumberView(TwilioView):
    permissions = {"GET": "messaging.view_message", "POST": MAY_CHANGE}

    def get(self, request: Request, account: str, sid: str) -> Response:
        return self._response(request, account, _number_by(request, sid))

    def post(self, request: Request, account: str, sid: str) -> Response:
        """Set `SmsUrl`; all other parameters are accepted without effect."""
        number, fields = _number_by(request, sid), parameters_of(request)
        if (fields.text("SmsMethod") or METHOD).upper() != METHOD:
            raise TwilioError(BAD_REQUEST, "'SmsMethod' must be POST.")
        url = callback_url(fields, "SmsUrl", BAD_URL)
        if url is not None:
            if not user_of(request).has_perm("messaging.add_webhookendpoint"):
                raise TwilioError(ACCESS_DENIED)
            numbers.set_sms_url(
                user=user_of(request),
                number=number.number,
                url=url,
                guard=Guard.allowing(settings.CALLBACK_ALLOWED_NETWORKS),
                now=timezone.now(),
            )
        return self._response(request, account, number)

    def _response(self, request: Request, account: str, number: SenderNumber) -> Response:
        urls = numbers.sms_urls(user_of(request), [number.number])
        return Response(_represent_number(number, account, urls.get(number.number, "")))


def _number_by(request: Request, sid: str) -> SenderNumber:
    """A SID is a digest of the number, so the user's numbers are searched, of which there are few."""
    wanted = sid[:2] + sid[2:].lower()
    for row in numbers.numbers_of(user_of(request)):
        if twilio_ids.number_sid(row.number) == wanted:
            return row
    raise Http404


def _represent_number(row: SenderNumber, account: str, sms_url: str) -> dict[str, Any]:
    sid = twilio_ids.number_sid(row.number)
    created = rfc_2822(row.created_at)
    return {
        **_UNSET,
        "account_sid": account,
        "address_requirements": "none",
        "api_version": VERSION,
        "beta": False,
        "capabilities": {"voice": False, "sms": True, "mms": True, "fax": False},
        "date_created": created,
        "date_updated": created,
        "friendly_name": row.number,
        "phone_number": row.number,
        "origin": "hosted",
        "sid": sid,
        "sms_fallback_method": METHOD,
        "sms_method": METHOD,
        "sms_url": sms_url or None,
        "status_callback_method": METHOD,
        "uri": f"{account_path(account)}/IncomingPhoneNumbers/{sid}.json",
        "voice_receive_mode": "voice",
        "voice_caller_id_lookup": False,
        "voice_fallback_method": METHOD,
        "voice_method": METHOD,
        "emergency_status": "Inactive",
        "emergency_address_status": "unregistered",
        "status": "in-use",
        "type": None,
    }
