"""Any HTTP gateway, by configuration alone."""

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from providers import callback_tokens, exchanges
from providers.backends import answers, media_limits, templates
from providers.backends.answers import ParsedResponse, ResponseMeaning
from providers.backends.callback_auth import CallbackAuth
from providers.backends.callback_mapping import Entry, price_at, read_reports, read_texts, report_of
from providers.backends.generic_http_config import GenericHttpConfig, IdByPattern, IdInXml
from providers.backends.payload import identifier, read_content, values_at
from providers.contract.callbacks import CallbackParser, CallbackRequest, CallbackResponse, StatusReport
from providers.contract.lookup import StatusLookup, StatusQuery
from providers.contract.messages import Accepted, InboundMessage, OutboundMessage
from providers.contract.prices import CarrierPrice
from providers.contract.sender import BackendContext, Capabilities, Sender
from providers.errors import MalformedCallback, NoMessageId, OutcomeUnknown
from providers.http.authentication import Authenticator
from providers.http.transport import HttpResponse, Transport

NOT_FOUND = 404
# Stands for our message's id in `status_url`.
ID_PLACEHOLDER = "{id}"

logger = logging.getLogger(__name__)


class GenericHttpBackend(Sender, CallbackParser, StatusLookup):
    Config = GenericHttpConfig
    config: GenericHttpConfig

    def __init__(self, config: GenericHttpConfig, context: BackendContext) -> None:
        super().__init__(config, context)
        self._callback_auth = CallbackAuth(
            config.callback_auth,
            slug=context.slug,
            callback_keys=context.callback_keys,
            secret=config.callback_secret,
            username=config.callback_username,
            password=config.callback_password,
        )
        self.capabilities = Capabilities(
            media=config.sends_media,
            media_limits=media_limits.of_account(config, media_limits.of_address(config.url)),
            callbacks=True,
            token_in_callback=self._callback_auth.needs_token,
            status_lookup=config.status_url is not None,
        )
        self._transport = Transport(context.timeouts, pool_size=context.pool_size, options=config)
        self._authenticator = Authenticator(config.auth, self._transport)
        if config.callback_answer is not None:
            given = config.callback_answer
            self.status_response = self.inbound_response = CallbackResponse(
                given.content_type, given.body, given.status
            )

    # --- verify -------------------------------------------------------------------------------------------------------

    def verify(self, request: CallbackRequest) -> None:
        self._callback_auth.verify(request, now=datetime.now(UTC))

    # --- parse --------------------------------------------------------------------------------------------------------

    def parse_status(self, request: CallbackRequest) -> Sequence[StatusReport]:
        return read_reports(request, self.config.status, is_named=self._is_attempt_named(request))

    def parse_inbound(self, request: CallbackRequest) -> Sequence[InboundMessage]:
        return read_texts(request, self.config.inbound, self.config.numbers)

    def _is_attempt_named(self, request: CallbackRequest) -> bool:
        """Whether our token in the address names the attempt, and not only the account."""
        token, keys = request.token if request.token.isascii() else "", self.context.callback_keys
        return bool(callback_tokens.read(token, slug=self.context.slug, keys=keys))

    # --- send ---------------------------------------------------------------------------------------------------------

    def send(self, text: OutboundMessage) -> Accepted:
        config = self.config
        content = self._request_content(text)
        in_query = config.method == "GET" or config.format == "query"
        in_json = not in_query and config.format == "json"
        headers = dict(config.headers)
        if config.idempotency_header:
            headers[config.idempotency_header] = text.reference

        def call(authorization: Mapping[str, str]) -> HttpResponse:
            return self._transport.call(
                config.method,
                config.url,
                headers={**headers, **authorization},
                query=_as_form(content) if in_query else None,
                json=content if in_json else None,
                form=None if in_query or in_json else _as_form(content),
            )

        return self._accepted(self._authenticator.call(call))

    def _request_content(self, text: OutboundMessage) -> Any:
        config = self.config
        sender = text.sender or config.from_number
        values = templates.values_of(
            text, sender=sender, numbers=config.numbers, now=datetime.now(UTC), limits=config.validity
        )
        for name, words in config.values.items():
            if name in values:  # a message may lack a parameter
                values[name] = words.get(str(values[name]), values[name])
        content = templates.render(config.template, values)
        return {**config.constants, **content} if config.constants else content

    def _accepted(self, response: HttpResponse) -> Accepted:
        config, answer = self.config, ParsedResponse.of(response)
        verdict = answers.by_rules(config.answer, answer)
        ids = self._message_ids(answer)
        if verdict is None:
            verdict = answers.by_status(
                answer,
                accepted=config.accepted,
                unavailable=config.unavailable,
                rejected=config.rejected,
                is_repeat_known=config.idempotency_header is not None,
            )
            if verdict.error is None and not ids and config.message_id is not None:
                verdict = self._without_id(answer)
        exchanges.decided_by(verdict.rule)
        if verdict.error is not None:
            raise verdict.error
        return Accepted(ids[0] if ids else "", part_ids=ids if len(ids) > 1 else (), price=self._price(answer))

    def _price(self, answer: ParsedResponse) -> CarrierPrice | None:
        paths = self.config.answer_price
        if paths is None:
            return None
        currencies = answer.at(paths.currency) if paths.currency else []
        return price_at(answer.at(paths.price), currencies[0] if currencies else None)

    def _message_ids(self, answer: ParsedResponse) -> tuple[str, ...]:
        """The provider's ids, one for each part where the path leads to several."""
        match self.config.message_id:
            case None:
                return ()
            case IdByPattern(text=pattern):
                found = re.search(pattern, answer.text)
                given: list[Any] = [found[1]] if found else []
            case IdInXml() as xml:
                given = answer.at(xml.path)
            case path:
                given = answer.at(path)
        return tuple(dict.fromkeys(filter(None, map(identifier, given))))

    def _without_id(self, answer: ParsedResponse) -> ResponseMeaning:
        logger.warning(
            "%s answered %d without an id at `message_id`; the message is unknown. Write a rule in `answer` for what this "
            "response means; if this provider gives no ids, set message_id to null",
            self.context.slug,
            answer.status,
        )
        error = NoMessageId(f"the provider answered {answer.status} without a message id")
        return ResponseMeaning(f"status {answer.status}: no id", error)

    # --- fetch status -------------------------------------------------------------------------------------------------

    def fetch_status(self, query: StatusQuery) -> Sequence[StatusReport]:
        config, url = self.config, self.config.status_url or ""
        parameters = None if ID_PLACEHOLDER in url else {config.fields.get("id", "id"): query.reference}
        address = url.replace(ID_PLACEHOLDER, query.reference)
        response = self._authenticator.call(
            lambda authorization: self._transport.call(
                "GET", address, headers={**config.headers, **authorization}, query=parameters
            )
        )
        if response.status == NOT_FOUND:  # the provider does not know the message
            return ()
        verdict = answers.by_status(
            ParsedResponse.of(response), accepted=config.accepted, unavailable=config.unavailable, rejected={}
        )
        if verdict.error is not None:
            raise verdict.error
        try:
            content = read_content(response.body, response.headers.get("content-type", "application/json"))
        except ValueError:
            raise OutcomeUnknown(f"the provider answered {response.status} with a body that cannot be read") from None
        try:
            return tuple(
                report_of(Entry(each, {}), config.status, is_named=False) for each in self._reports_in(content)
            )
        except MalformedCallback:
            return ()

    def _reports_in(self, content: Any) -> list[Any]:
        path = self.config.status.list
        if not path:
            return content if isinstance(content, list) else [content]
        return [
            value for found in values_at(content, path) for value in (found if isinstance(found, list) else [found])
        ]

    def close(self) -> None:
        self._transport.close()


def _as_form(content: Mapping[str, Any]) -> dict[str, Any]:
    """Booleans as JSON writes them (`true`), not as Python does (`True`)."""
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in content.items()}
