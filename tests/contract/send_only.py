"""A backend without callbacks and without a status lookup: the least that a backend can be."""

from datetime import UTC, datetime

from providers.backends.payload import at_path, identifier, read_json
from providers.contract.config_types import HttpUrl
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.sender import BackendContext, CommonConfig, Sender
from providers.errors import CredentialsRefused, NoMessageId, OutcomeUnknown, RateLimited, Refused, SendError
from providers.http.transport import HttpResponse, Transport


class SendOnlyConfig(CommonConfig):
    url: HttpUrl


class SendOnlyBackend(Sender):
    Config = SendOnlyConfig
    config: SendOnlyConfig

    def __init__(self, config: SendOnlyConfig, context: BackendContext) -> None:
        super().__init__(config, context)
        self._transport = Transport(context.timeouts, pool_size=context.pool_size)

    def send(self, text: OutboundMessage) -> Accepted:
        response = self._transport.call("POST", self.config.url, json={"to": text.to, "text": text.text})
        if response.status != 200:
            raise _fault(response)
        return Accepted(_message_id(response))

    def close(self) -> None:
        self._transport.close()


def _message_id(response: HttpResponse) -> str:
    try:
        content = read_json(response.body)
    except ValueError:
        raise OutcomeUnknown("the response cannot be read") from None
    message_id = identifier(at_path(content, "id"))
    if not message_id:
        raise NoMessageId("the response has no message id")
    return message_id


def _fault(response: HttpResponse) -> SendError:
    match response.status:
        case 401:
            return CredentialsRefused("the credentials are refused")
        case 429:
            return RateLimited("the rate is limited", retry_after=response.retry_after(datetime.now(UTC)))
        case status if 400 <= status <= 499:
            return Refused(f"refused with {status}")
        case status:
            return OutcomeUnknown(f"answered {status}")
