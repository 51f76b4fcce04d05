"""Amazon SNS over HTTPS: its signatures and its subscriptions.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import base64
import binascii
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from providers.backends.payload import read_json
from providers.errors import InvalidSignature, MalformedCallback, SendError, VerificationUnavailable
from providers.http.transport import HttpResponse

NOTIFICATION: Final = "Notification"
SUBSCRIPTION: Final = "SubscriptionConfirmation"
UNSUBSCRIPTION: Final = "UnsubscribeConfirmation"
_HANDSHAKE = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
# By the type of a message, the fields that its signature covers, in their order. `Subject` only where there is one.
SIGNED_FIELDS: Mapping[str, Sequence[str]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: _HANDSHAKE,
    UNSUBSCRIPTION: _HANDSHAKE,
}
HASHES: Mapping[str, HashAlgorithm] = {"1": SHA1(), "2": SHA256()}  # noqa: S303 (SNS's default, SignatureVersion 1)
# SNS repeats a request with the time of the first one, to HTTPS for at most an hour. The rest is for its own queue.
MAX_AGE: Final = timedelta(hours=2)
MAX_CLOCK_DIFFERENCE: Final = timedelta(minutes=15)
MAX_CERTIFICATES: Final = 16
_HOST = r"sns\.[a-z0-9-]{1,40}\.amazonaws\.com(\.cn)?"
# The whole address: SNS's API has the same host, and its responses could contain a foreign certificate.
_CERTIFICATE_URL = re.compile(rf"https://{_HOST}/SimpleNotificationService-[A-Za-z0-9]{{1,64}}\.pem")
_SUBSCRIBE_URL = re.compile(rf"https://{_HOST}/\?[!-~]+")

Fetch = Callable[[str], HttpResponse]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """One request of SNS, not verified yet."""

    fields: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, body: bytes) -> "SnsMessage":
        """Raises `ValueError`."""
        content = read_json(body)
        if not isinstance(content, dict):
            raise ValueError("not an object")  # noqa: TRY004 (callers catch one class)
        message = cls({name: value for name, value in content.items() if isinstance(value, str)})
        missing = {"Message", "MessageId", "Timestamp", "TopicArn"} - message.fields.keys()
        if missing or message.kind not in SIGNED_FIELDS:
            raise ValueError("not a message of SNS")
        return message

    @property
    def kind(self) -> str:
        return self.fields.get("Type", "")

    @property
    def text(self) -> str:
        return self.fields["Message"]

    @property
    def topic_arn(self) -> str:
        return self.fields["TopicArn"]

    @property
    def signed(self) -> bytes:
        names = [name for name in SIGNED_FIELDS[self.kind] if name in self.fields]
        return "".join(f"{name}\n{self.fields[name]}\n" for name in names).encode()


class SnsSubscription:
    """The topics of one account. Thread-safe. `fetch` makes one GET request, and raises a `SendError` without a response."""

    def __init__(
        self, topic_arns: frozenset[str], fetch: Fetch, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._topic_arns = topic_arns
        self._fetch = fetch
        self._clock = clock
        self._certificates: dict[str, x509.Certificate] = {}

    def verify(self, message: SnsMessage) -> None:
        """Raises `InvalidSignature`, and `VerificationUnavailable` where SNS's certificate cannot be fetched now."""
        if message.topic_arn not in self._topic_arns:
            raise InvalidSignature("the message is of a topic that this account does not have")
        self._check_age(message.fields["Timestamp"])
        algorithm = HASHES.get(message.fields.get("SignatureVersion", ""))
        if algorithm is None:
            raise InvalidSignature("the message has no signature, or one of an unknown version")
        try:
            signature = base64.b64decode(message.fields.get("Signature", ""), validate=True)
            self._key(message.fields.get("SigningCertURL", "")).verify(signature, message.signed, PKCS1v15(), algorithm)
        except (WrongSignature, binascii.Error, ValueError):
            raise InvalidSignature("the message's signature is missing or wrong") from None

    def confirm(self, message: SnsMessage) -> None:
        """Confirm the subscription of a verified message. Raises `MalformedCallback` and `VerificationUnavailable`."""
        url = message.fields.get("SubscribeURL", "")
        asked = parse_qs(urlsplit(url).query) if _SUBSCRIBE_URL.fullmatch(url) else {}
        if asked.get("Action") != ["ConfirmSubscription"] or asked.get("TopicArn") != [message.topic_arn]:
            raise MalformedCallback("the address that confirms the subscription is not one of SNS")
        response = self._get(url)
        if response.status != HTTPStatus.OK:
            raise VerificationUnavailable(f"SNS answered {response.status} to the confirmation")
        logger.info("subscription to %s confirmed", message.topic_arn)

    def _check_age(self, timestamp: str) -> None:
        try:
            age = self._clock() - datetime.fromisoformat(timestamp)
        except (ValueError, TypeError, OverflowError):
            raise InvalidSignature("the message has no valid time") from None
        if not -MAX_CLOCK_DIFFERENCE <= age <= MAX_AGE:
            raise InvalidSignature("the message is too old, or the clocks differ")

    def _key(self, url: str) -> RSAPublicKey:
        certificate = self._certificates.get(url) or self._fetched(url)
        now = self._clock()
        key = certificate.public_key()
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise InvalidSignature("the certificate of the signature is not valid now")
        if not isinstance(key, RSAPublicKey):
            raise InvalidSignature("the certificate of the signature has no RSA key")
        return key

    def _fetched(self, url: str) -> x509.Certificate:
        if not _CERTIFICATE_URL.fullmatch(url):
            raise InvalidSignature("the certificate of the signature is not one of SNS")
        response = self._get(url)
        if response.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            raise InvalidSignature("SNS does not have the certificate of the signature")
        if response.status != HTTPStatus.OK:
            raise VerificationUnavailable(f"SNS answered {response.status} instead of its certificate")
        certificate = x509.load_pem_x509_certificate(response.body)
        if len(self._certificates) >= MAX_CERTIFICATES:
            self._certificates.clear()
        self._certificates[url] = certificate
        return certificate

    def _get(self, url: str) -> HttpResponse:
        try:
            return self._fetch(url)
        except SendError as error:
            raise VerificationUnavailable(f"SNS could not be asked: {error.detail}") from None
