"""Messages: send, list, fetch, cancel, redact and delete them."""

from dataclasses import replace
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import Http404, QueryDict
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from messaging import e164, log_context, notifier, twilio_ids
from messaging.models import Message
from messaging.services.errors import InvalidField
from messaging.services.outbound import idempotency
from messaging.services.outbound.accept import accept
from messaging.services.outbound.cancel import cancel
from messaging.services.outbound.idempotency import IdempotencyKey
from messaging.services.twilio import media, queries, removal
from messaging.services.twilio.queries import MessageQuery
from messaging.states import Status
from messaging.twilio_api import requests
from messaging.twilio_api.base import TwilioView, account_path, client_of, user_of
from messaging.twilio_api.errors import ACCESS_DENIED, BAD_REQUEST, FROM_NOT_ALLOWED, NOT_FOUND, TwilioError
from messaging.twilio_api.pages import page_body, page_request, period, positions
from messaging.twilio_api.parameters import Parameters, parameters_of
from messaging.twilio_api.representation import message_of, represent, represent_lenient
from providers import numbers, senders

KEY_HEADERS = ("Idempotency-Key", "I-Twilio-Idempotency-Token")
FILTERS = ("To", "From", "DateSent", "DateSent<", "DateSent>")


class MessagesView(TwilioView):
    permissions = {"GET": "messaging.view_message", "POST": "messaging.add_message"}

    def post(self, request: Request, account: str) -> Response:
        user, fields, now = user_of(request), parameters_of(request), timezone.now()
        key = _idempotency_key(request, fields)
        urls = requests.media_urls(fields)
        # What a repeat needs not do again: it is asked for only where that takes long, or may fail by now.
        is_repeat = (
            key is not None
            and bool(urls or fields.text("SendAt"))
            and idempotency.is_known(owner=user, key=key.key, now=now)
        )
        draft = requests.message_input(fields, media=(), now=now, is_repeat=is_repeat)
        if urls and not is_repeat:
            if not user.has_perm("media_store.add_mediaasset"):
                raise TwilioError(ACCESS_DENIED)
            draft = replace(draft, media=media.assets_of(urls, owner=user, now=now))
        try:
            accepted = accept(owner=user, draft=draft, default_queue=settings.DEFAULT_QUEUE, now=now, key=key)
        except InvalidField as refusal:
            raise _explained(refusal, draft.sender) from None
        message = accepted.message
        if message is None:
            message = message_of(accepted.response)
        else:
            log_context.log_accepted([message.pk])
            if message.status == Status.QUEUED and message.queue_id:
                transaction.on_commit(partial(notifier.notify_queue, message.queue_id))
        shown = represent(message, account=account, by_service=draft.queue is not None)
        return Response(shown, status=201)

    def get(self, request: Request, account: str) -> Response:
        query, wanted = request.query_params, page_request(request.query_params)
        filters = _filters(user_of(request).pk, query)
        after, before = positions(wanted, by_time=filters.sent is not None)
        # One more row than the page has tells whether there is another page.
        found = queries.page(filters, size=wanted.size + 1, after=after, before=before)
        has_more = len(found) > wanted.size
        rows = found[-wanted.size :] if wanted.before else found[: wanted.size]
        has_next, has_previous = (True, has_more) if wanted.before else (has_more, wanted.after is not None)
        body = page_body(
            "messages",
            [represent_lenient(row, account=account) for row in rows],
            path=f"{account_path(account)}/Messages.json",
            filters={name: query[name] for name in FILTERS if query.get(name)},
            request=wanted,
            next_key=rows[-1].pk if rows and has_next else None,
            previous_key=rows[0].pk if rows and has_previous else None,
            times={row.pk: queries.position(row).at for row in (*rows[:1], *rows[-1:])} if filters.sent else {},
        )
        return Response(body)


class MessageView(TwilioView):
    permissions = {
        "GET": "messaging.view_message",
        "POST": "messaging.change_message",
        "DELETE": "messaging.change_message",
    }

    def get(self, request: Request, account: str, sid: str) -> Response:
        return Response(represent(message_by(request, sid), account=account, sid=sid))

    def post(self, request: Request, account: str, sid: str) -> Response:
        """Cancel or redact."""
        fields, message = parameters_of(request), message_by(request, sid)
        status, text = fields.text("Status"), fields.text("Body")
        if (status not in {None, "", "canceled"}) or text or (status in {None, ""} and text is None):
            raise TwilioError(BAD_REQUEST, "Only 'Status=canceled' and an empty 'Body' can be set.")
        try:
            if status:
                message = cancel(message_id=message.pk, actor=user_of(request), now=timezone.now())
                notifier.notify_webhooks()
            if text is not None:
                message = removal.redact(message_id=message.pk, now=timezone.now())
        except Message.DoesNotExist:
            raise Http404 from None
        return Response(represent(message, account=account, sid=sid))

    def delete(self, request: Request, account: str, sid: str) -> Response:
        try:
            removal.delete(message_id=message_by(request, sid).pk, now=timezone.now())
        except Message.DoesNotExist:
            raise Http404 from None
        return Response(status=204)


def message_by(request: Request, sid: str) -> Message:
    """The user's own message. Raises `TwilioError`."""
    message_id: UUID | None = twilio_ids.uuid_of(sid)
    found = (
        None if message_id is None else Message.objects.filter(pk=message_id, owner=client_of(request).user.pk).first()
    )
    if found is None:
        raise TwilioError(NOT_FOUND)
    return found


def _idempotency_key(request: Request, fields: Parameters) -> IdempotencyKey | None:
    """Twilio has no such keys; its newer SDKs send one of their own with each call."""
    key = next((request.headers[name] for name in KEY_HEADERS if request.headers.get(name)), None)
    if key is None:
        return None
    return IdempotencyKey(idempotency.check_key(key), idempotency.fingerprints(request.path, fields.as_json()))


def _explained(refusal: InvalidField, sender: str | None) -> Exception:
    is_name = sender is not None and any(character.isalpha() for character in sender)
    if refusal.field_code == "sender_not_allowed" and is_name:
        return TwilioError(FROM_NOT_ALLOWED)
    return refusal


def _filters(owner_id: int, query: QueryDict) -> MessageQuery:
    return MessageQuery(
        owner_id=owner_id,
        to=_party(query.get("To", "")),
        sender=_party(query.get("From", "")),
        sent=period(query, "DateSent"),
    )


def _party(text: str) -> str:
    """As numbers are stored; what is none is looked for as it is written, and not found."""
    text = text.strip().replace("\0", "?")[: e164.MAX_INPUT]
    # In an address, a `+` that was not escaped arrives as a blank.
    digits = f"+{text}" if text.isdigit() and len(text) > numbers.MAX_SHORT_CODE else text
    try:
        return senders.normalise(digits) if text else ""
    except senders.InvalidSender:
        return text
