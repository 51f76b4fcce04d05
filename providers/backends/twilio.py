"""Twilio, and providers with the same API, through Twilio's own SDK."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from twilio.base import values
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator, get_signature_algorithm
from twilio.rest import Client

from providers.backends import media_limits, twilio_codes
from providers.backends.payload import (
    MAX_ID_LENGTH,
    at_path,
    identifier,
    is_nested_too_deeply,
    read_form,
    read_json,
    scalar,
    storable_text,
)
from providers.backends.twilio_config import TwilioConfig
from providers.backends.validity import seconds_left
from providers.contract.callbacks import (
    CallbackParser,
    CallbackRequest,
    CallbackResponse,
    MediaAccess,
    StatusReport,
)
from providers.contract.lookup import StatusLookup, StatusQuery
from providers.contract.messages import Accepted, InboundMessage, OutboundMessage, ProviderKeyword
from providers.contract.prices import read_price
from providers.contract.sender import BackendContext, Capabilities, Sender
from providers.errors import (
    InvalidSignature,
    MalformedCallback,
    Misconfigured,
    NoMessageId,
    OutcomeUnknown,
    RateLimited,
    SendError,
    Unavailable,
)
from providers.http.transport import Transport

# Keywords that Twilio answers itself, where the account has that enabled; the callback names them in `OptOutType`.
KEYWORDS: Mapping[str, ProviderKeyword] = {
    "STOP": ProviderKeyword.STOP,
    "START": ProviderKeyword.START,
    "HELP": ProviderKeyword.HELP,
}
MAX_MEDIA, MAX_MEDIA_URL_LENGTH = 10, 2000
MEDIA_FIELD = re.compile(r"MediaUrl[0-9]{1,2}", re.ASCII)
# Covers the difference between Twilio's clock and ours, and the duration of the call.
LOOKUP_MARGIN = timedelta(minutes=2)
MAX_LOOKUP_RESULTS = 20
API_ORIGIN = "https://api.twilio.com"
# The hosts that a media address redirects to.
MEDIA_HOSTS = frozenset({"mms.twiliocdn.com", "media.twiliocdn.com", "s3-external-1.amazonaws.com"})
# Not an empty dict: with that, the SDK would read a region and credentials from the process's environment.
NO_ENVIRONMENT = {"TWILIO_EDGE": "", "TWILIO_REGION": ""}
# Of `ValidityPeriod`, in seconds.
MIN_VALIDITY, MAX_VALIDITY = 1, 36_000
# Others are refused here: for each the SDK would log a warning with the text of a request that nobody has signed.
ALGORITHMS = frozenset({HMAC_SHA1, HMAC_SHA256})

logger = logging.getLogger(__name__)


class _PooledClient(HttpClient):
    """Makes the SDK's HTTP requests over our transport, with its time-outs and errors, and without the SDK's request log."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(logger, is_async=False)
        self._transport = transport

    def request(  # noqa: PLR0917 (the SDK's signature)
        self,
        method: str,
        uri: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        response = self._transport.call(method, uri, headers=headers, query=params, form=data, credentials=auth)
        if response.status == 429:  # noqa: PLR2004 (here, because the SDK's exception drops the headers)
            raise RateLimited("Twilio limits the rate", retry_after=response.retry_after(datetime.now(UTC)))
        text = response.body.decode(errors="replace").strip()
        if is_nested_too_deeply(text):
            raise OutcomeUnknown("Twilio's response cannot be read")
        return Response(response.status, text, response.headers)


class _Form(dict[str, list[str]]):
    """A form as the SDK's signature check reads it: all values of a repeated field."""

    def getlist(self, name: str) -> list[str]:
        return self[name]

    def one(self, *names: str) -> str:
        """The first of these fields that has a value, made safe to store; "" without one."""
        return next((value for name in names if (value := scalar(self.get(name, [""])[-1]))), "")


class TwilioBackend(Sender, CallbackParser, StatusLookup):
    Config = TwilioConfig
    config: TwilioConfig
    capabilities = Capabilities(media=True, callbacks=True, status_lookup=True)
    inbound_response = CallbackResponse("text/xml", "<Response/>")

    def __init__(self, config: TwilioConfig, context: BackendContext) -> None:
        super().__init__(config, context)
        self.capabilities = replace(
            self.capabilities, media_limits=media_limits.of_account(config, media_limits.TWILIO)
        )
        auth_token = config.auth_token.get_secret_value()
        if not auth_token.isascii() or not auth_token.isprintable():
            raise Misconfigured("auth_token contains a character that no Twilio token has")
        self._transport = Transport(context.timeouts, pool_size=context.pool_size)
        self._validator = RequestValidator(auth_token)
        self._shared_keys = {
            key: RequestValidator(secret.get_secret_value()) for key, secret in config.shared_keys.items()
        }
        self._client = Client(
            config.account_sid, auth_token, http_client=_PooledClient(self._transport), environment=NO_ENVIRONMENT
        )
        if config.api_base_url:
            # The SDK appends "/2010-04-01/Accounts/…" to this address, as compatible providers expect.
            self._client.api.base_url = config.api_base_url.rstrip("/")

    # --- verify -------------------------------------------------------------------------------------------------------

    def verify(self, request: CallbackRequest) -> None:
        signature = request.headers.get("x-twilio-signature", "")
        validator, algorithm = self._signer(request.headers.get("x-twilio-webhooks-signature-settings", ""))
        try:
            is_authenticated = validator.validate(request.url, _signed_fields(request), signature, algorithm)
        except ValueError:
            is_authenticated = False
        if not signature or not is_authenticated:
            raise InvalidSignature("the callback's signature is missing or wrong")

    def _signer(self, settings: str) -> tuple[RequestValidator, str]:
        """The key and the algorithm of a signature: of the shared key that its settings name, or the account's token."""
        if not settings.strip():
            return self._validator, HMAC_SHA1
        named = dict(part.strip().split("=", 1) for part in settings.split(",") if "=" in part)
        validator = self._shared_keys.get(named.get("key", ""))
        algorithm = get_signature_algorithm(settings).upper()
        if validator is None or algorithm not in ALGORITHMS:
            raise InvalidSignature("the callback is signed with a shared key or an algorithm that is not known")
        return validator, algorithm

    # --- parse --------------------------------------------------------------------------------------------------------

    def parse_status(self, request: CallbackRequest) -> Sequence[StatusReport]:
        form = _readable_form(request)
        message_id = form.one("MessageSid", "SmsSid")
        raw_status = form.one("MessageStatus", "SmsStatus")
        if not message_id or len(message_id) > MAX_ID_LENGTH:
            raise MalformedCallback("the receipt names no message")
        if not raw_status:
            raise MalformedCallback("the receipt names no status")
        return (twilio_codes.report(message_id, raw_status, form.one("ErrorCode")),)

    def parse_inbound(self, request: CallbackRequest) -> Sequence[InboundMessage]:
        form = _readable_form(request)
        sender, recipient = self._party(form.one("From")), self._party(form.one("To"))
        if not sender:
            raise MalformedCallback("the text names no sender")
        message_id = form.one("MessageSid", "SmsSid")
        if len(message_id) > MAX_ID_LENGTH:
            raise MalformedCallback("the text's id is not valid")
        media_urls = self._media(form)
        text = storable_text(form.get("Body", [""])[-1])
        if text is None or not (text or media_urls or "Body" in form):
            raise MalformedCallback("there is no text that can be stored")
        keyword = _keyword(form.one("OptOutType").upper())
        return (InboundMessage(message_id, sender, recipient, text, media_urls, keyword=keyword),)

    def _media(self, form: _Form) -> tuple[str, ...]:
        """The addresses of the media. One that cannot be used is left out: it never costs the text."""
        names = sorted((name for name in form if MEDIA_FIELD.fullmatch(name)), key=lambda name: (len(name), name))
        urls = [url for name in names if (url := form.one(name)).startswith(("http://", "https://"))]
        usable = tuple(url for url in urls if len(url) <= MAX_MEDIA_URL_LENGTH)[:MAX_MEDIA]
        if len(usable) < len(names):
            logger.warning("%s: %d media of an incoming text left out", self.context.slug, len(names) - len(usable))
        return usable

    def _party(self, given: str) -> str:
        return self.config.numbers.read(given) or given

    def media_access(self) -> MediaAccess:
        base = urlsplit(self.config.api_base_url or API_ORIGIN)
        return MediaAccess(
            f"{base.scheme}://{base.netloc}".lower(),
            self.config.account_sid,
            self.config.auth_token.get_secret_value(),
            MEDIA_HOSTS,
        )

    # --- send ---------------------------------------------------------------------------------------------------------

    def send(self, text: OutboundMessage) -> Accepted:
        numbers, sender = self.config.numbers, text.sender or self.config.from_number
        try:
            message = self._client.messages.create(
                to=numbers.write(text.to),
                body=text.text,
                from_=numbers.write(sender) if sender else values.unset,
                messaging_service_sid=self.config.messaging_service_sid or values.unset,
                status_callback=self._callback_address(text) or values.unset,
                media_url=list(text.media_urls) or values.unset,
                validity_period=_validity(text) or values.unset,
            )
        except (TwilioRestException, TwilioServiceException) as error:
            given: object = error.status  # the SDK copies it from the body of the response, unchecked
            raise twilio_codes.fault(given if isinstance(given, int) else 0, error.code) from None
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
            # The response has a status of 2xx, and a body that the SDK cannot read.
            raise OutcomeUnknown("Twilio's response cannot be read") from None
        message_id = identifier(message.sid)
        if not message_id:
            raise NoMessageId("Twilio's response has no message id")
        return Accepted(message_id, price=read_price([message.price], message.price_unit, is_debit=True))

    def _callback_address(self, text: OutboundMessage) -> str | None:
        """The address with the account's connection overrides, which Twilio neither requests nor signs."""
        overrides = self.config.callback_overrides
        return f"{text.callback_url}#{overrides}" if text.callback_url and overrides else text.callback_url

    # --- fetch status -------------------------------------------------------------------------------------------------

    def fetch_status(self, query: StatusQuery) -> Sequence[StatusReport]:
        """Matches recipient, sender, text and time: Twilio keeps no reference of ours."""
        numbers = self.config.numbers
        try:
            found = self._client.messages.list(
                to=numbers.write(query.to),
                from_=numbers.write(query.sender) if query.sender else values.unset,
                date_sent_after=query.called_at - LOOKUP_MARGIN,
                limit=MAX_LOOKUP_RESULTS,
                page_size=MAX_LOOKUP_RESULTS,
            )
            matches = [each for each in found if _matches(each, query)]
        except TwilioException as error:
            raise _lookup_fault(error) from None
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
            raise OutcomeUnknown("Twilio's response cannot be read") from None
        return tuple(map(_report_of, matches))

    def close(self) -> None:
        self._transport.close()


def _matches(found: Any, query: StatusQuery) -> bool:
    created_at = found.date_created or found.date_sent
    return (
        bool(scalar(found.sid))
        and str(found.direction).startswith("outbound")
        and (found.body or "").strip() == query.text.strip()
        and created_at is not None
        and abs(created_at - query.called_at) <= LOOKUP_MARGIN
    )


def _report_of(found: Any) -> StatusReport:
    message_id, raw_status = scalar(found.sid)[:MAX_ID_LENGTH], scalar(str(found.status or ""))
    report = twilio_codes.report(message_id, raw_status, found.error_code)
    return replace(report, price=read_price([found.price], found.price_unit, is_debit=True))


def _lookup_fault(error: TwilioException) -> SendError:
    """For a list the SDK raises its base class, with the response as an argument. Test credentials cannot look up."""
    response = next((each for each in error.args if isinstance(each, Response)), None)
    fault = twilio_codes.fault(response.status_code, _code_of(response)) if response else None
    return fault if isinstance(fault, Unavailable) else OutcomeUnknown("Twilio did not answer the lookup")


def _code_of(response: Response) -> Any:
    try:
        return at_path(read_json(response.text.encode()), "code")
    except ValueError:
        return None


def _validity(text: OutboundMessage) -> int | None:
    return seconds_left(text.valid_until, now=datetime.now(UTC), shortest=MIN_VALIDITY, longest=MAX_VALIDITY)


def _keyword(opt_out_type: str) -> ProviderKeyword | None:
    return KEYWORDS.get(opt_out_type, ProviderKeyword.OTHER) if opt_out_type else None


def _signed_fields(request: CallbackRequest) -> _Form:
    """The fields that the signature covers besides the address, which has those of a GET."""
    return _Form() if request.method == "GET" else _form(request)


def _form(request: CallbackRequest) -> _Form:
    return _Form(read_form(urlsplit(request.url).query.encode() if request.method == "GET" else request.body))


def _readable_form(request: CallbackRequest) -> _Form:
    try:
        return _form(request)
    except ValueError:
        raise MalformedCallback("the body cannot be read") from None
