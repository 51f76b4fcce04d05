"""AWS End User Messaging SMS. Requests are signed by botocore and sent over our transport: AWS's own client repeats them."""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from pydantic import StringConstraints

from providers.backends import aws_codes
from providers.backends.aws_sns import NOTIFICATION, SUBSCRIPTION, Fetch, SnsMessage, SnsSubscription
from providers.backends.payload import MAX_ID_LENGTH, at_path, identifier, read_json, scalar, storable_text
from providers.backends.validity import seconds_left
from providers.contract.callbacks import CallbackParser, CallbackRequest, StatusReport
from providers.contract.config_types import EnvOrText, HttpUrl, Secret
from providers.contract.messages import Accepted, InboundMessage, OutboundMessage
from providers.contract.sender import BackendContext, Capabilities, CommonConfig, Sender
from providers.errors import InvalidSignature, MalformedCallback, Misconfigured, NoMessageId, OutcomeUnknown
from providers.http.transport import HttpResponse, Transport

SERVICE = "sms-voice"
HEADERS: Mapping[str, str] = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "PinpointSMSVoiceV2.SendTextMessage",
}
# By category; all others are transactional.
MESSAGE_TYPES = {"marketing": "PROMOTIONAL"}
# Our parameters, which India's registrations of senders and templates need.
COUNTRY_PARAMETERS = {"entity_id": "IN_ENTITY_ID", "template_id": "IN_TEMPLATE_ID"}
# Of `TimeToLive`, in seconds.
MIN_VALIDITY, MAX_VALIDITY = 5, 259_200

Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]{2,20}){1,3}-[0-9]{1,2}$"), EnvOrText]
AccessKeyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{16,128}$"), EnvOrText]
ConfigurationSet = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_:/-]{1,256}$"), EnvOrText]
MaxPrice = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,2}\.[0-9]{1,5}$")]
TopicArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws(-[a-z]+)*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$")
]

# At DEBUG botocore logs the request that it signs, with the session token.
logging.getLogger("botocore.auth").setLevel(logging.INFO)
logger = logging.getLogger(__name__)


class AwsConfig(CommonConfig):
    region: Region
    access_key_id: AccessKeyId
    secret_access_key: Secret
    session_token: Secret | None = None
    configuration_set: ConfigurationSet | None = None
    message_type: Literal["TRANSACTIONAL", "PROMOTIONAL"] | None = None
    max_price: MaxPrice | None = None
    topic_arns: tuple[TopicArn, ...] = ()
    endpoint_url: HttpUrl | None = None


class AwsBackend(Sender, CallbackParser):
    Config = AwsConfig
    config: AwsConfig

    def __init__(self, config: AwsConfig, context: BackendContext, fetch: Fetch | None = None) -> None:
        super().__init__(config, context)
        self.capabilities = Capabilities(callbacks=bool(config.topic_arns))
        session_token = config.session_token.get_secret_value() if config.session_token else None
        if session_token is not None and not (session_token.isascii() and session_token.isprintable()):
            raise Misconfigured("session_token contains a character that no header can carry")
        self._credentials = Credentials(
            config.access_key_id, config.secret_access_key.get_secret_value(), session_token
        )
        self._url = config.endpoint_url or f"https://{SERVICE}.{config.region}.amazonaws.com/"
        self._transport = Transport(context.timeouts, pool_size=context.pool_size)
        self._sns = SnsSubscription(frozenset(config.topic_arns), fetch or self._fetch)

    # --- verify -------------------------------------------------------------------------------------------------------

    def verify(self, request: CallbackRequest) -> None:
        """Makes one call to SNS for a certificate that this process has not seen yet."""
        try:
            message = SnsMessage.read(request.body)
        except ValueError:
            raise InvalidSignature("the callback is not a message of SNS") from None
        self._sns.verify(message)

    # --- parse --------------------------------------------------------------------------------------------------------

    def parse_status(self, request: CallbackRequest) -> Sequence[StatusReport]:
        """One report; none for the handshakes of a subscription, which are answered here."""
        text = self._notification(request)
        return () if text is None else (aws_codes.report(text),)

    def parse_inbound(self, request: CallbackRequest) -> Sequence[InboundMessage]:
        """One message; none for the handshakes of a subscription, which are answered here."""
        text = self._notification(request)
        return () if text is None else (self._inbound(text),)

    def _notification(self, request: CallbackRequest) -> str | None:
        try:
            message = SnsMessage.read(request.body)
        except ValueError:
            raise MalformedCallback("the callback is not a message of SNS") from None
        if message.kind == NOTIFICATION:
            return message.text
        if message.kind == SUBSCRIPTION:
            self._sns.confirm(message)
        else:
            logger.warning("%s: the subscription to %s has ended", self.context.slug, message.topic_arn)
        return None

    def _inbound(self, message: str) -> InboundMessage:
        try:
            content = read_json(message.encode())
        except ValueError:
            raise MalformedCallback("the text cannot be read") from None
        sender, recipient = (scalar(at_path(content, name)) for name in ("originationNumber", "destinationNumber"))
        message_id = scalar(at_path(content, "inboundMessageId"))
        text = storable_text(at_path(content, "messageBody"))
        if not sender or text is None or len(message_id) > MAX_ID_LENGTH:
            raise MalformedCallback("the text names no sender, or cannot be stored")
        numbers = self.config.numbers
        sender, recipient = numbers.read(sender) or sender, numbers.read(recipient) or recipient
        return InboundMessage(message_id, sender=sender, recipient=recipient, text=text)

    def _fetch(self, url: str) -> HttpResponse:
        return self._transport.call("GET", url)

    # --- send ---------------------------------------------------------------------------------------------------------

    def send(self, text: OutboundMessage) -> Accepted:
        body = json.dumps(self._request(text)).encode()
        response = self._transport.call("POST", self._url, headers=self._signed(body), body=body)
        if response.status != 200:  # noqa: PLR2004 (AWS's status for an accepted message)
            raise aws_codes.fault(response)
        return Accepted(_message_id(response))

    def _request(self, text: OutboundMessage) -> dict[str, Any]:
        config, sender = self.config, text.sender or self.config.from_number
        fields = {
            "DestinationPhoneNumber": config.numbers.write(text.to),
            "OriginationIdentity": config.numbers.write(sender) if sender else None,
            "MessageBody": text.text,
            "MessageType": config.message_type or MESSAGE_TYPES.get(text.category, "TRANSACTIONAL"),
            "ConfigurationSetName": config.configuration_set,
            "MaxPrice": config.max_price,
            "TimeToLive": seconds_left(
                text.valid_until, now=datetime.now(UTC), shortest=MIN_VALIDITY, longest=MAX_VALIDITY
            ),
            "Context": {aws_codes.REFERENCE_KEY: text.reference},
            "DestinationCountryParameters": {
                name: text.parameters[parameter]
                for parameter, name in COUNTRY_PARAMETERS.items()
                if parameter in text.parameters
            }
            or None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _signed(self, body: bytes) -> dict[str, str]:
        request = AWSRequest("POST", self._url, headers=HEADERS, data=body)
        SigV4Auth(self._credentials, SERVICE, self.config.region).add_auth(request)
        return dict(request.headers.items())

    def close(self) -> None:
        self._transport.close()


def _message_id(response: HttpResponse) -> str:
    try:
        content = read_json(response.body)
    except ValueError:
        raise OutcomeUnknown("AWS's response cannot be read") from None
    message_id = identifier(at_path(content, "MessageId"))
    if not message_id:
        raise NoMessageId("AWS's response has no message id")
    return message_id
