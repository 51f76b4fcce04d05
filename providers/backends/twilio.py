"""Twilio, and providers with the same API, through Twilio's own SDK."""

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import StringConstraints, model_validator
from twilio.base import values
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from providers.backends.payload import MAX_CODE_LENGTH, MAX_ID_LENGTH, identifier, read_form, scalar, storable_text
from providers.contract.callbacks import (
    CallbackParser,
    CallbackRequest,
    CallbackResponse,
    MediaAccess,
    ReportedStatus,
    StatusReport,
)
from providers.contract.config_types import EnvOrText, HttpUrl, Secret
from providers.contract.lookup import StatusLookup, StatusQuery
from providers.contract.messages import Accepted, InboundMessage, OutboundMessage, ProviderKeyword
from providers.contract.sender import BackendContext, Capabilities, CommonConfig, Sender
from providers.errors import (
    AccountRefused,
    CredentialsRefused,
    InvalidSignature,
    MalformedCallback,
    Misconfigured,
    NoMessageId,
    OutcomeUnknown,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Refused,
    Rejected,
    SendError,
    Unavailable,
)
from providers.http.transport import Transport

STATUSES: Mapping[str, ReportedStatus] = {
    "queued": ReportedStatus.PROGRESS,
    "accepted": ReportedStatus.PROGRESS,
    "scheduled": ReportedStatus.PROGRESS,
    "sending": ReportedStatus.PROGRESS,
    "sent": ReportedStatus.SENT,
    "delivered": ReportedStatus.DELIVERED,
    "read": ReportedStatus.DELIVERED,
    "undelivered": ReportedStatus.UNDELIVERED,
    "failed": ReportedStatus.FAILED,
    "canceled": ReportedStatus.CANCELED,
}

INVALID_NUMBER_CODES = frozenset({21211, 21214, 21217, 21614, 30005, 30006})
OPTED_OUT_CODES = frozenset({21610})
CREDENTIAL_CODES = frozenset({20003, 20005})
RATE_LIMIT_CODES = frozenset({20429, 14107})
# The handset or a carrier failed, not the number: the message is undelivered even where the receipt says `failed`.
UNDELIVERED_CODES = frozenset({30003, 30004, 30007, 30008})
# Faults of this account or its set-up: another account may carry the same message.
ACCOUNT_CODES: Mapping[int, str] = {
    20006: "access is denied",
    20008: "the account has test credentials",
    20404: "the account or its address does not exist",
    21408: "the account may not send to this region",
    21603: "a sender is needed",
    21606: "the sender cannot send texts",
    21608: "a trial account sends to verified numbers only",
    21609: "the callback address is not accepted",
    21611: "the sender's queue is full",
    21612: "the sender cannot reach this number",
    21659: "the sender is not a number of the account",
    21660: "the sender does not belong to the account",
    21701: "the messaging service does not exist",
    21703: "the messaging service has no sender",
    21704: "the messaging service has no sender for this region",
    21705: "the messaging service is not valid",
    30001: "the account's queue is full",
    30002: "the account is suspended",
    63038: "the account's daily limit is reached",
}
# Those of `ACCOUNT_CODES` that depend on the recipient.
RECIPIENT_CODES = frozenset({21408, 21608, 21612, 21704})
RECEIPT_FAULTS: Mapping[int, ReportedStatus] = {
    **dict.fromkeys(INVALID_NUMBER_CODES, ReportedStatus.INVALID),
    **dict.fromkeys(OPTED_OUT_CODES, ReportedStatus.OPTED_OUT),
    **dict.fromkeys(UNDELIVERED_CODES, ReportedStatus.UNDELIVERED),
}
FAILED_STATUSES = frozenset({ReportedStatus.UNDELIVERED, ReportedStatus.FAILED})
# Keywords that Twilio answers itself, where the account has that enabled; the callback names them in `OptOutType`.
KEYWORDS: Mapping[str, ProviderKeyword] = {
    "STOP": ProviderKeyword.STOP,
    "START": ProviderKeyword.START,
    "HELP": ProviderKeyword.HELP,
}
MAX_MEDIA = 10
# Covers the difference between Twilio's clock and ours, and the duration of the call.
LOOKUP_MARGIN = timedelta(minutes=2)
MAX_LOOKUP_RESULTS = 20
API_ORIGIN = "https://api.twilio.com"
# The hosts that a media address redirects to.
MEDIA_HOSTS = frozenset({"mms.twiliocdn.com", "media.twiliocdn.com", "s3-external-1.amazonaws.com"})
# Not an empty dict: with that, the SDK would read a region and credentials from the process's environment.
NO_ENVIRONMENT = {"TWILIO_EDGE": "", "TWILIO_REGION": ""}

Sid = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{2,64}$"), EnvOrText]
_TWILIO_CODE = re.compile(r"[1-9][0-9]{4}")

logger = logging.getLogger(__name__)


class TwilioConfig(CommonConfig):
    account_sid: Sid
    auth_token: Secret
    messaging_service_sid: Sid | None = None
    api_base_url: HttpUrl | None = None

    @model_validator(mode="after")
    def _has_a_sender(self) -> Self:
        if self.messaging_service_sid is None and self.from_number is None:
            raise ValueError("from_number or messaging_service_sid is needed")
        return self


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
        return Response(response.status, response.body.decode(errors="replace").strip(), response.headers)


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
        auth_token = config.auth_token.get_secret_value()
        if not auth_token.isascii() or not auth_token.isprintable():
            raise Misconfigured("auth_token contains a character that no Twilio token has")
        self._transport = Transport(context.timeouts, pool_size=context.pool_size)
        self._validator = RequestValidator(auth_token)
        self._client = Client(
            config.account_sid, auth_token, http_client=_PooledClient(self._transport), environment=NO_ENVIRONMENT
        )
        if config.api_base_url:
            # The SDK appends "/2010-04-01/Accounts/…" to this address, as compatible providers expect.
            self._client.api.base_url = config.api_base_url.rstrip("/")

    # --- verify -------------------------------------------------------------------------------------------------------

    def verify(self, request: CallbackRequest) -> None:
        signature = request.headers.get("x-twilio-signature", "")
        try:
            is_authenticated = self._validator.validate(request.url, _form(request), signature)
        except ValueError:
            is_authenticated = False
        if not signature or not is_authenticated:
            raise InvalidSignature("the callback's signature is missing or wrong")

    # --- parse --------------------------------------------------------------------------------------------------------

    def parse_status(self, request: CallbackRequest) -> Sequence[StatusReport]:
        form = _readable_form(request)
        message_id = form.one("MessageSid", "SmsSid")
        raw_status = form.one("MessageStatus", "SmsStatus")
        if not message_id or len(message_id) > MAX_ID_LENGTH:
            raise MalformedCallback("the receipt names no message")
        if not raw_status:
            raise MalformedCallback("the receipt names no status")
        error_code = form.one("ErrorCode")[:MAX_CODE_LENGTH]
        status = STATUSES.get(raw_status, ReportedStatus.UNRECOGNIZED)
        if status in FAILED_STATUSES:
            status = RECEIPT_FAULTS.get(_twilio_code(error_code), status)
        return (
            StatusReport(message_id, status=status, raw_status=raw_status[:MAX_CODE_LENGTH], error_code=error_code),
        )

    def parse_inbound(self, request: CallbackRequest) -> Sequence[InboundMessage]:
        form = _readable_form(request)
        sender, recipient = self._party(form.one("From")), self._party(form.one("To"))
        if not sender or not recipient:
            raise MalformedCallback("the text names no sender or no recipient")
        message_id = form.one("MessageSid", "SmsSid")
        if len(message_id) > MAX_ID_LENGTH:
            raise MalformedCallback("the text's id is not valid")
        media_count = form.one("NumMedia") or "0"
        if not re.fullmatch(r"[0-9]{1,2}", media_count, re.ASCII) or int(media_count) > MAX_MEDIA:
            raise MalformedCallback("the text's media are not valid")
        media_urls = tuple(form.one(f"MediaUrl{index}") for index in range(int(media_count)))
        if not all(url.startswith(("http://", "https://")) for url in media_urls):
            raise MalformedCallback("the text's media are not valid")
        text = storable_text(form.get("Body", [""])[-1])
        if text is None or not (text or media_urls or "Body" in form):
            raise MalformedCallback("there is no text that can be stored")
        keyword = _keyword(form.one("OptOutType").upper())
        return (InboundMessage(message_id, sender, recipient, text, media_urls, keyword=keyword),)

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
        sender = text.sender or self.config.from_number
        try:
            message = self._client.messages.create(
                to=text.to,
                body=text.text,
                from_=sender or values.unset,
                messaging_service_sid=self.config.messaging_service_sid or values.unset,
                status_callback=text.callback_url or values.unset,
                media_url=list(text.media_urls) or values.unset,
            )
        except (TwilioRestException, TwilioServiceException) as error:
            raise _fault(error) from None
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
            # The response has a status of 2xx, and a body that the SDK cannot read.
            raise OutcomeUnknown("Twilio's response cannot be read") from None
        message_id = identifier(message.sid)
        if not message_id:
            raise NoMessageId("Twilio's response has no message id")
        return Accepted(message_id)

    # --- fetch status -------------------------------------------------------------------------------------------------

    def fetch_status(self, query: StatusQuery) -> Sequence[StatusReport]:
        """Matches recipient, sender, text and time: Twilio keeps no reference of ours."""
        try:
            found = self._client.messages.list(
                to=query.to,
                from_=query.sender or values.unset,
                date_sent_after=query.called_at - LOOKUP_MARGIN,
                limit=MAX_LOOKUP_RESULTS,
                page_size=MAX_LOOKUP_RESULTS,
            )
            matches = [each for each in found if _matches(each, query)]
        except TwilioException as error:
            # For a list the SDK raises its base class, with the response as an argument.
            statuses = [each.status_code for each in error.args if isinstance(each, Response)]
            refused = bool({401, 403} & set(statuses))
            raise (CredentialsRefused if refused else OutcomeUnknown)("Twilio did not answer the lookup") from None
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
    raw_status = scalar(str(found.status or ""))
    error_code = scalar(found.error_code)[:MAX_CODE_LENGTH]
    status = STATUSES.get(raw_status, ReportedStatus.UNRECOGNIZED)
    if status in FAILED_STATUSES:
        status = RECEIPT_FAULTS.get(_twilio_code(error_code), status)
    return StatusReport(
        scalar(found.sid)[:MAX_ID_LENGTH], status=status, raw_status=raw_status[:MAX_CODE_LENGTH], error_code=error_code
    )


def _fault(error: TwilioRestException | TwilioServiceException) -> SendError:  # noqa: PLR0911 (a table of classes)
    """Uses only the status and the code: the text of the SDK's error contains the number."""
    given: object = error.status  # the SDK copies it from the body of the response, unchecked
    status = given if isinstance(given, int) else 0
    if not 400 <= status <= 499:  # noqa: PLR2004
        return OutcomeUnknown(f"Twilio answered {status}")
    code = _twilio_code(error.code)
    named, detail = f"twilio_{code}", f"Twilio refused with {code or status}"
    if code in INVALID_NUMBER_CODES:
        return RecipientInvalid(detail)
    if code in OPTED_OUT_CODES:
        return RecipientOptedOut(detail)
    if code in RATE_LIMIT_CODES:
        return RateLimited(detail)
    if code in ACCOUNT_CODES:
        kind = Refused if code in RECIPIENT_CODES else Unavailable
        return kind(f"{detail}: {ACCOUNT_CODES[code]}", code=named)
    if code in CREDENTIAL_CODES or status == 401:  # noqa: PLR2004
        return CredentialsRefused(detail)
    if status == 403:  # noqa: PLR2004
        return AccountRefused(detail)
    return Rejected(detail, code=named) if code else Refused(detail)


def _keyword(opt_out_type: str) -> ProviderKeyword | None:
    return KEYWORDS.get(opt_out_type, ProviderKeyword.OTHER) if opt_out_type else None


def _twilio_code(value: Any) -> int:
    """Twilio's own code, or 0 without one: the SDK then puts the HTTP status in its place."""
    text = scalar(value)
    return int(text) if _TWILIO_CODE.fullmatch(text) else 0


def _form(request: CallbackRequest) -> _Form:
    return _Form(read_form(request.body))


def _readable_form(request: CallbackRequest) -> _Form:
    try:
        return _form(request)
    except ValueError:
        raise MalformedCallback("the body cannot be read") from None
