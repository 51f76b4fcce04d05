"""Amazon SNS on loopback: signs messages as SNS does, and serves its certificate and its confirmations."""

import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from socket import socket
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from providers.contract.sender import Timeouts
from providers.http.transport import HttpResponse, Transport
from tests.contract.fake_carrier import FakeCarrier, answer

TOPIC = "arn:aws:sns:eu-west-1:123456789012:sms-events"
ORIGIN = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE_URL = f"{ORIGIN}/SimpleNotificationService-0123456789abcdef.pem"
CONFIRM_URL = f"{ORIGIN}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
FIELDS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
HASHES = {"1": SHA1, "2": SHA256}


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """The same key for the same name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, valid_for: timedelta = timedelta(days=1)
) -> bytes:
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=9)).not_valid_after(now + valid_for)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class Signer:
    """Makes the body of a request of SNS. `fields` are those of the body that differ."""

    key: str = "sns"
    version: str = "2"
    at: datetime | None = None

    def body(self, message: str, *, kind: str = "Notification", **fields: str) -> bytes:
        at = self.at or datetime.now(UTC)
        content = {
            "Type": kind,
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": message,
            "Timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z",
            "SignatureVersion": self.version,
            "SigningCertURL": CERTIFICATE_URL,
            **fields,
        }
        if kind != "Notification":
            content = {"Token": "2336412f37", "SubscribeURL": CONFIRM_URL, **content}
        return json.dumps({**content, "Signature": self._signature(content)}).encode()

    def _signature(self, content: dict[str, str]) -> str:
        lines = [f"{name}\n{content[name]}\n" for name in FIELDS[content["Type"]] if name in content]
        signature = rsa_key(self.key).sign("".join(lines).encode(), PKCS1v15(), HASHES[self.version]())
        return b64encode(signature).decode()


def changed(body: bytes, **fields: Any) -> bytes:
    """The body with other fields and the same signature; None leaves a field out."""
    content = {**json.loads(body), **fields}
    return json.dumps({name: value for name, value in content.items() if value is not None}).encode()


class FakeSns:
    """`fetch` asks this server instead of SNS. `asked` has the addresses, `certificate` is what it serves."""

    def __init__(self) -> None:
        self.server = FakeCarrier()
        self.server.play = self._respond
        self._url = self.server.url
        self.certificate = certificate(rsa_key("sns"))
        self.status = 200
        self.asked: list[str] = []
        self._transport = Transport(Timeouts(connect=5, read=5), pool_size=2)

    def fetch(self, url: str) -> HttpResponse:
        self.asked.append(url)
        return self._transport.call("GET", url.replace(ORIGIN, self._url))

    def close(self) -> None:
        self._transport.close()
        self.server.close()

    def _respond(self, server: FakeCarrier, connection: socket) -> None:
        is_certificate = server.received[-1].target.endswith(".pem")
        content = self.certificate if is_certificate else b"<ConfirmSubscriptionResponse/>"
        answer(self.status, content)(server, connection)
