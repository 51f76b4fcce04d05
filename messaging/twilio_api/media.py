"""The media of a message: list, describe, download and delete them."""

from django.http import Http404
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from media_store.api import content
from media_store.models import MediaAsset
from messaging import twilio_ids
from messaging.models import Message
from messaging.services.twilio import removal
from messaging.twilio_api.base import TwilioView, account_path, rfc_2822, user_of
from messaging.twilio_api.errors import BAD_REQUEST, TwilioError
from messaging.twilio_api.messages import message_by
from messaging.twilio_api.pages import page_body, page_request, period
from messaging.twilio_api.parameters import parameters_of
from messaging.twilio_api.representation import represent_media

OUTCOMES = ("confirmed", "unconfirmed")


class MediaListView(TwilioView):
    """A message has at most 10 files, all on one page unless the client wants smaller ones."""

    def get(self, request: Request, account: str, sid: str) -> Response:
        message, wanted = message_by(request, sid), page_request(request.query_params)
        created = period(request.query_params, "DateCreated")
        assets = list(MediaAsset.objects.filter(attachments__message=message).order_by("attachments__position"))
        if created is not None:
            assets = [asset for asset in assets if created.start <= asset.created_at < created.end]
        positions = {asset.pk: position for position, asset in enumerate(assets)}
        start = positions.get(wanted.after, -1) + 1 if wanted.after else 0
        if wanted.before:
            start = max(0, positions.get(wanted.before, 0) - wanted.size)
        rows = assets[start : start + wanted.size]
        body = page_body(
            "media_list",
            [represent_media(asset, account=account, message_sid=sid) for asset in rows],
            path=f"{account_path(account)}/Messages/{sid}/Media.json",
            filters={name: request.query_params[name] for name in _FILTERS if request.query_params.get(name)},
            request=wanted,
            next_key=rows[-1].pk if rows and start + wanted.size < len(assets) else None,
            previous_key=rows[0].pk if rows and start else None,
        )
        return Response(body)


_FILTERS = ("DateCreated", "DateCreated<", "DateCreated>")


class MediaView(TwilioView):
    """With `.json` the description, without it the file."""

    permissions = {"GET": "messaging.view_message", "DELETE": "messaging.change_message"}

    def get(self, request: Request, account: str, sid: str, media: str, suffix: str = "") -> HttpResponseBase:
        asset = _asset(message_by(request, sid), media)
        if suffix:
            return Response(represent_media(asset, account=account, message_sid=sid))
        return content.content_response(request, asset, content.original(asset), max_age=content.A_YEAR)

    def delete(self, request: Request, account: str, sid: str, media: str, suffix: str = "") -> Response:
        message = message_by(request, sid)
        asset = _asset(message, media)
        try:
            is_removed = removal.delete_media(
                message_id=message.pk, asset_id=asset.pk, owner=user_of(request), now=timezone.now()
            )
        except Message.DoesNotExist:
            is_removed = False
        if not is_removed:
            raise Http404
        return Response(status=204)


class FeedbackView(TwilioView):
    """What clients report of a message's outcome is accepted without effect."""

    permissions = {"POST": "messaging.change_message"}

    def post(self, request: Request, account: str, sid: str) -> Response:
        message_by(request, sid)
        outcome = parameters_of(request).text("Outcome") or OUTCOMES[0]
        if outcome not in OUTCOMES:
            raise TwilioError(BAD_REQUEST, "'Outcome' must be 'confirmed' or 'unconfirmed'.")
        now = rfc_2822(timezone.now())
        body = {
            "account_sid": account,
            "message_sid": sid,
            "outcome": outcome,
            "date_created": now,
            "date_updated": now,
            "uri": f"{account_path(account)}/Messages/{sid}/Feedback.json",
        }
        return Response(body, status=201)


def _asset(message: Message, sid: str) -> MediaAsset:
    asset_id = twilio_ids.asset_of(sid)
    found = None if asset_id is None else MediaAsset.objects.filter(pk=asset_id, attachments__message=message).first()
    if found is None:
        raise Http404
    return found
