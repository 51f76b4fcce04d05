"""Twilio's webhooks: status callbacks and inbound texts as signed forms, and TwiML as the answer to a text.

The SDKs' validators build the signed text from the address that the application believes was called, and disagree about some
spellings of it. `canonical` chooses one on which they agree; it is both called and signed.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from django.conf import settings
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from messaging import twiml
from messaging.event_types import EventType
from messaging.models import Message, TwilioAccount, WebhookEndpoint
from messaging.sealing import unseal
from messaging.services.events import as_of
from messaging.services.webhooks.dialects.base import ClientCall, Dialect, Occasion, SigningCredential
from messaging.twilio_codes import message_error
from messaging.twilio_ids import MESSAGE, media_sid, message_sid, service_sid, twilio_status
from providers.http.public_addresses import DEFAULT_PORTS, MAX_URL_LENGTH
from providers.http.transport import HttpResponse
from providers.numbers import country_of

API_VERSION = "2010-04-01"
SIGNATURE_HEADER = "X-Twilio-Signature"
TOKENS = "twilio-auth-tokens"
FORM = "application/x-www-form-urlencoded; charset=UTF-8"
# The same in every attempt, so that applications recognise repeats.
IDEMPOTENCY_HEADER = "I-Twilio-Idempotency-Token"
# For test deliveries: Twilio's test number, which belongs to nobody.
TEST_NUMBER, TEST_BODY = "+15005550006", "This is a test."

Form = dict[str, str]


class TwilioDialect(Dialect):
    max_response_bytes = twiml.MAX_BYTES + 1
    is_signed = True
    unsigned = "The owner has no valid Twilio credential to sign with."

    def wants(self, event_type: str, options: str) -> bool:
        return event_type not in {EventType.SCHEDULE_COMPLETED, EventType.BUDGET_WARNING}

    def credentials(self, endpoints: Collection[WebhookEndpoint], *, now: datetime) -> Mapping[UUID, SigningCredential]:
        """The primary token of each owner; the secondary one never signs."""
        accounts = TwilioAccount.objects.filter(
            user__in={endpoint.owner_id for endpoint in endpoints}, revoked_at__isnull=True
        )
        found = {account.user_id: (account.sid, unseal(TOKENS, account.auth_token)) for account in accounts}
        return {
            endpoint.pk: SigningCredential((token,), sid)
            for endpoint in endpoints
            for sid, token in (found.get(endpoint.owner_id, ("", None)),)
            if token
        }

    def request(self, occasion: Occasion) -> ClientCall | None:
        if occasion.event is None:
            form = _test_form(occasion)
        elif occasion.message is None:
            return None
        elif occasion.event.type == EventType.MESSAGE_RECEIVED:
            form = _received(occasion.message, occasion.account)
        else:
            form = _status(as_of(occasion.message, occasion.event))
        form |= {"AccountSid": occasion.account, "ApiVersion": API_VERSION}
        headers = {"Content-Type": FORM, IDEMPOTENCY_HEADER: occasion.webhook_id}
        return ClientCall("POST", canonical(occasion.url), headers, urlencode(form).encode())

    def signature(
        self, request: ClientCall, *, webhook_id: str, secrets: tuple[str, ...], now: datetime
    ) -> dict[str, str]:
        from twilio.request_validator import RequestValidator  # noqa: PLC0415 (most workers never need the library)

        validator = RequestValidator(secrets[0])
        return {SIGNATURE_HEADER: validator.compute_signature(request.url, _fields(request))}

    def follow(self, first: ClientCall, request: ClientCall, response: HttpResponse) -> ClientCall | None:
        """Twilio's `<Redirect>`: the first request's fields go to another address."""
        if "Body" not in _fields(first):  # the answer to a status callback is not read
            return None
        try:
            document = twiml.read(response.body, content_type=response.headers.get("content-type", ""), url=request.url)
        except twiml.UnreadableAnswer:
            return None
        if document.redirect is None:
            return None
        names = {name: value for name, value in first.headers.items() if name != "Content-Type"}
        url = canonical(document.redirect.url)
        with_fields = _with_query(url, first.body.decode())
        # With a long text the address would be too long to be called: the fields are posted instead.
        if document.redirect.method == "GET" and len(with_fields) <= MAX_URL_LENGTH:
            return ClientCall("GET", with_fields, names, b"")
        return ClientCall("POST", url, first.headers, first.body)


def canonical(url: str) -> str:
    """The spelling of an address on which the SDKs' validators agree, and which applications find in the request.

    As it is written to the wire, without a fragment, an empty query, the scheme's own port or the dot after a host. A path
    that ends in a semicolon ends in `%3B`: Python's `urlparse` drops an empty parameter. What is no address stays as it is,
    and is refused when it is to be called.
    """
    try:
        parts = parse_url(url)
    except LocationParseError:
        return url
    port = None if parts.port == DEFAULT_PORTS.get(parts.scheme or "") else parts.port
    host = (parts.host or "").removesuffix(".")
    path = parts.path or "/"
    if path.endswith(";"):
        path = f"{path[:-1]}%3B"
    return parts._replace(host=host, port=port, path=path, query=parts.query or None, fragment=None).url


def _fields(request: ClientCall) -> Form:
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def _with_query(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _status(message: Message) -> Form:
    """A status callback. `message` is as it was at the event."""
    sid, status = message_sid(message), twilio_status(message)
    form = {
        "MessageSid": sid,
        "SmsSid": sid,
        "MessageStatus": status,
        "SmsStatus": status,
        "From": message.from_number,
        "To": message.to_number,
    }
    if message.queue_id and message.queue_id != settings.DEFAULT_QUEUE:
        form["MessagingServiceSid"] = service_sid(message.queue_id)
    code = message_error(message.status, message.error_code)
    return form if code is None else {**form, "ErrorCode": str(code)}


def _received(message: Message, account: str) -> Form:
    """An inbound text; the application fetches its files from our API as the account. Raises `CannotBeOpened`."""
    form = _text_form(message_sid(message), message.from_number, message.to_number, message.text)
    files = message.attachments.all() if message.media_count else ()
    assets = [file.asset for file in files if file.asset is not None]
    form |= {"NumMedia": str(len(assets)), "NumSegments": str(message.segments)}
    address = f"{settings.PUBLIC_URL}/{API_VERSION}/Accounts/{account}/Messages/{message_sid(message)}/Media"
    for position, asset in enumerate(assets):
        form[f"MediaUrl{position}"] = f"{address}/{media_sid(asset.pk)}"
        form[f"MediaContentType{position}"] = asset.content_type
    return form


def _text_form(sid: str, sender: str, recipient: str, text: str) -> Form:
    form = {
        "MessageSid": sid,
        "SmsSid": sid,
        "SmsMessageSid": sid,
        "SmsStatus": "received",
        "From": sender,
        "To": recipient,
        "Body": text,
        "NumMedia": "0",
        "NumSegments": "1",
    }
    countries = {"FromCountry": country_of(sender), "ToCountry": country_of(recipient)}
    return {**form, **{name: country for name, country in countries.items() if country}}


def _test_form(occasion: Occasion) -> Form:
    """What the endpoint subscribes to, about a message that does not exist; the answer is not obeyed."""
    sid = f"{MESSAGE}{UUID(occasion.webhook_id).hex}"
    number = occasion.endpoint.number or TEST_NUMBER
    events = occasion.endpoint.events
    if not events or EventType.MESSAGE_RECEIVED in events:
        return _text_form(sid, TEST_NUMBER, number, TEST_BODY)
    form = {"MessageSid": sid, "SmsSid": sid, "MessageStatus": "delivered", "SmsStatus": "delivered"}
    return {**form, "From": number, "To": TEST_NUMBER}
