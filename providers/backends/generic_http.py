"""Any HTTP gateway, by configuration alone."""

import base64
import binascii
import hashlib
import hmac
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from providers import callback_tokens
from providers.backends.generic_http_config import GenericHttpConfig
from providers.backends.payload import (
    MAX_CODE_LENGTH,
    MAX_ID_LENGTH,
    at_path,
    identifier,
    read_json,
    read_object,
    scalar,
    storable_text,
)
from providers.contract.callbacks import CallbackParser, CallbackRequest, ReportedStatus, StatusReport
from providers.contract.lookup import StatusLookup, StatusQuery
from providers.contract.messages import Accepted, InboundMessage, OutboundMessage
from providers.contract.sender import BackendContext, Capabilities, Sender
from providers.errors import (
    CredentialsRefused,
    InvalidSignature,
    MalformedCallback,
    NoMessageId,
    OutcomeUnknown,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Rejected,
    SendError,
    Unavailable,
)
from providers.http.transport import HttpResponse, Transport

# The codes of `rejected` that also say something about the recipient.
REJECTIONS: Mapping[str, type[Rejected]] = {
    RecipientInvalid.code: RecipientInvalid,
    RecipientOptedOut.code: RecipientOptedOut,
}
CREDENTIAL_STATUSES = frozenset({401, 403})
RATE_LIMIT_STATUS = 429
MAX_MEDIA = 10
# Stands for our message's id in `status_url`.
ID_PLACEHOLDER = "{id}"

logger = logging.getLogger(__name__)


class GenericHttpBackend(Sender, CallbackParser, StatusLookup):
    Config = GenericHttpConfig
    config: GenericHttpConfig

    def __init__(self, config: GenericHttpConfig, context: BackendContext) -> None:
        super().__init__(config, context)
        self.capabilities = Capabilities(
            media="media" in config.request_fields,
            callbacks=True,
            token_in_callback=config.callback_auth == "token",
            status_lookup=config.status_url is not None,
        )
        self._transport = Transport(context.timeouts, pool_size=context.pool_size)

    # --- verify -------------------------------------------------------------------------------------------------------

    def verify(self, request: CallbackRequest) -> None:
        match self.config.callback_auth:
            case "token":
                self._verify_token(request)
            case "hmac":
                self._verify_hmac(request)
            case "basic":
                self._verify_basic(request)

    def _verify_token(self, request: CallbackRequest) -> None:
        keys = self.context.callback_keys
        known = request.token.isascii() and callback_tokens.read(request.token, slug=self.context.slug, keys=keys)
        if known is None or known is False:
            raise InvalidSignature("the callback's token is missing or wrong")

    def _verify_hmac(self, request: CallbackRequest) -> None:
        key = _plain(self.config.callback_secret).encode()
        expected = "sha256=" + hmac.new(key, request.body, hashlib.sha256).hexdigest()
        if not _same(request.headers.get("x-signature", ""), expected):
            raise InvalidSignature("the callback's signature is missing or wrong")

    def _verify_basic(self, request: CallbackRequest) -> None:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            given = b""
        expected = f"{self.config.callback_username}:{_plain(self.config.callback_password)}".encode()
        if scheme.lower() != "basic" or not hmac.compare_digest(given, expected):
            raise InvalidSignature("the callback's credentials are missing or wrong")

    # --- parse --------------------------------------------------------------------------------------------------------

    def parse_status(self, request: CallbackRequest) -> Sequence[StatusReport]:
        mapping = self.config.status
        content = self._content(request)
        message_id = scalar(at_path(content, mapping.message_id))
        raw_status = scalar(at_path(content, mapping.status))
        if not message_id or len(message_id) > MAX_ID_LENGTH:
            raise MalformedCallback("the receipt names no message")
        if not raw_status:
            raise MalformedCallback("the receipt names no status")
        error_code = scalar(at_path(content, mapping.error_code)) if mapping.error_code else ""
        status = mapping.values.get(raw_status, ReportedStatus.UNRECOGNIZED)
        return (StatusReport(message_id, status, raw_status[:MAX_CODE_LENGTH], error_code[:MAX_CODE_LENGTH]),)

    def parse_inbound(self, request: CallbackRequest) -> Sequence[InboundMessage]:
        mapping = self.config.inbound
        content = self._content(request)
        sender, recipient = scalar(at_path(content, mapping.sender)), scalar(at_path(content, mapping.to))
        if not sender or not recipient:
            raise MalformedCallback("the text names no sender or no recipient")
        given_id = at_path(content, mapping.id) if mapping.id else None
        message_id = scalar(given_id)
        if given_id not in (None, "") and (not message_id or len(message_id) > MAX_ID_LENGTH):
            raise MalformedCallback("the text's id is not valid")
        media_urls = _media(at_path(content, mapping.media) if mapping.media else None)
        given_text = at_path(content, mapping.message)
        text = storable_text("" if given_text is None and media_urls else given_text)
        if text is None:
            raise MalformedCallback("there is no text that can be stored")
        numbers = self.config.numbers
        sender, recipient = numbers.read(sender) or sender, numbers.read(recipient) or recipient
        return (InboundMessage(message_id, sender=sender, recipient=recipient, text=text, media_urls=media_urls),)

    def _content(self, request: CallbackRequest) -> Mapping[str, Any]:
        is_json = request.headers.get("content-type", "").lower().startswith("application/json")
        try:
            return read_object(request.body, form=self.config.format == "form" and not is_json)
        except ValueError:
            raise MalformedCallback("the body cannot be read") from None

    # --- send ---------------------------------------------------------------------------------------------------------

    def send(self, text: OutboundMessage) -> Accepted:
        config = self.config
        content = self._request_content(text)
        as_query, as_json = config.method == "GET", config.method != "GET" and config.format == "json"
        headers = dict(config.headers)
        if config.idempotency_header:
            headers[config.idempotency_header] = text.reference
        response = self._transport.call(
            config.method,
            config.url,
            headers=headers,
            query=_as_form(content) if as_query else None,
            json=content if as_json else None,
            form=None if as_query or as_json else _as_form(content),
        )
        if response.status not in config.accepted:
            raise self._fault(response)
        return Accepted(self._message_id(response))

    # --- fetch status -------------------------------------------------------------------------------------------------

    def fetch_status(self, query: StatusQuery) -> Sequence[StatusReport]:
        url, mapping = self.config.status_url or "", self.config.status
        parameters = None if ID_PLACEHOLDER in url else {self.config.request_fields.get("id", "id"): query.reference}
        response = self._transport.call(
            "GET", url.replace(ID_PLACEHOLDER, query.reference), headers=self.config.headers, query=parameters
        )
        if response.status == 404:  # noqa: PLR2004 (the provider does not know the message)
            return ()
        if response.status not in self.config.accepted | {200}:
            raise self._fault(response)
        content = self._response_json(response)
        message_id = scalar(at_path(content, mapping.message_id))
        raw_status = scalar(at_path(content, mapping.status))
        if not message_id or len(message_id) > MAX_ID_LENGTH or not raw_status:
            return ()
        status = mapping.values.get(raw_status, ReportedStatus.UNRECOGNIZED)
        return (StatusReport(message_id, status=status, raw_status=raw_status[:MAX_CODE_LENGTH]),)

    def close(self) -> None:
        self._transport.close()

    def _request_content(self, text: OutboundMessage) -> dict[str, Any]:
        ours = {
            "to": text.to,
            "message": text.text,
            "from": text.sender or self.config.from_number,
            "callback_url": text.callback_url,
            "media": list(text.media_urls),
            "id": text.reference,
        }
        fields = {name: ours[field] for field, name in self.config.request_fields.items() if ours[field]}
        return {**self.config.constants, **fields}

    def _fault(self, response: HttpResponse) -> SendError:
        status, detail = response.status, f"the provider answered {response.status}"
        if status in self.config.rejected:
            code = self.config.rejected[status]
            return REJECTIONS.get(code, Rejected)(detail, code=code)
        if status == RATE_LIMIT_STATUS:
            return RateLimited(detail, retry_after=response.retry_after(datetime.now(UTC)))
        if status in self.config.unavailable:
            return Unavailable(detail, retry_after=response.retry_after(datetime.now(UTC)))
        if status in CREDENTIAL_STATUSES:
            return CredentialsRefused(detail)
        if 400 <= status <= 499:  # noqa: PLR2004 (the class of statuses that refuse a request)
            return Unavailable(detail, code="provider_refused", retry_after=response.retry_after(datetime.now(UTC)))
        return OutcomeUnknown(detail)

    def _message_id(self, response: HttpResponse) -> str:
        """The id in an accepting response; "" for an account whose provider gives none. Raises `NoMessageId`."""
        if self.config.message_id is None:
            return ""
        content = self._response_json(response) if response.body.strip() else None
        message_id = identifier(at_path(content, self.config.message_id))
        if not message_id:
            logger.warning(
                "%s answered %d without an id at `message_id`; the message is unknown. "
                "If this provider gives no ids, set message_id to null",
                self.context.slug,
                response.status,
            )
            raise NoMessageId(f"the provider answered {response.status} without a message id")
        return message_id

    @staticmethod
    def _response_json(response: HttpResponse) -> Any:
        try:
            return read_json(response.body)
        except ValueError:
            raise OutcomeUnknown(f"the provider answered {response.status} with a body that is not JSON") from None


def _as_form(content: Mapping[str, Any]) -> dict[str, Any]:
    """Booleans as JSON writes them (`true`), not as Python does (`True`)."""
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in content.items()}


def _media(value: Any) -> tuple[str, ...]:
    urls = value if isinstance(value, list) else [value] if value else []
    if len(urls) > MAX_MEDIA or not all(_is_address(url) for url in urls):
        raise MalformedCallback("the text's media are not valid")
    return tuple(urls)


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and value.startswith(("http://", "https://"))


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
