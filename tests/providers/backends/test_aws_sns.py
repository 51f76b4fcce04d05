"""Only SNS's own signature, of a topic of the account and of this time, is accepted."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from providers.backends.aws_sns import SnsMessage, SnsSubscription
from providers.errors import InvalidSignature, VerificationUnavailable
from tests.contract.sns import CERTIFICATE_URL, ORIGIN, TOPIC, FakeSns, Signer, certificate, changed, rsa_key


@pytest.fixture
def sns() -> Iterator[FakeSns]:
    with closing(FakeSns()) as sns:
        yield sns


@pytest.fixture
def subscription(sns: FakeSns) -> SnsSubscription:
    return SnsSubscription(frozenset({TOPIC}), sns.fetch)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [{}, {"Subject": "Grüße"}], ids=["no subject", "a subject"])
def test_both_versions_of_a_signature_are_accepted(
    subscription: SnsSubscription, version: str, subject: dict[str, str]
) -> None:
    subscription.verify(SnsMessage.read(Signer(version=version).body("Grüße 👋\n", **subject)))


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "other"},
        {"MessageId": "other"},
        {"Subject": "other"},
        {"TopicArn": f"{TOPIC}-2"},
        {"Timestamp": f"{datetime.now(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"},
        {"Timestamp": "2026-11-30T09:00:00"},
        {"Timestamp": "today"},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"SignatureVersion": None},
        {"Signature": None},
        {"Signature": "YQ=="},
        {"Signature": "not base64"},
        {"Message": "\ud800"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_message_that_was_changed_is_refused(subscription: SnsSubscription, change: dict[str, str | None]) -> None:
    body = Signer().body("text")

    with pytest.raises(InvalidSignature):
        subscription.verify(SnsMessage.read(changed(body, **change)))


def test_a_topic_of_somebody_else_is_refused_however_well_it_is_signed(
    subscription: SnsSubscription, sns: FakeSns
) -> None:
    with pytest.raises(InvalidSignature):
        subscription.verify(SnsMessage.read(Signer().body("text", TopicArn=f"{TOPIC}-of-somebody-else")))

    assert sns.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/SimpleNotificationService-0123456789abcdef.pem",
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0123456789abcdef.pem",
        "https://user@sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0123456789abcdef.pem",
        f"{ORIGIN}/?Action=ListTopics&x=/SimpleNotificationService-0123456789abcdef.pem",
        f"{CERTIFICATE_URL}?x=1",
        f"{CERTIFICATE_URL}#x",
        f"{ORIGIN}/../SimpleNotificationService-0123456789abcdef.pem",
        f"{ORIGIN}/SimpleNotificationService-0123456789abcdef.pem\n",
        f"{ORIGIN}/other.pem",
        "",
    ],
)
def test_a_certificate_from_elsewhere_is_never_fetched(subscription: SnsSubscription, sns: FakeSns, url: str) -> None:
    with pytest.raises(InvalidSignature):
        subscription.verify(SnsMessage.read(Signer().body("text", SigningCertURL=url)))

    assert sns.asked == []


def test_a_certificate_is_fetched_once(subscription: SnsSubscription, sns: FakeSns) -> None:
    for _ in range(3):
        subscription.verify(SnsMessage.read(Signer().body("text")))

    assert sns.asked == [CERTIFICATE_URL]


def test_many_certificates_do_not_fill_the_memory(subscription: SnsSubscription) -> None:
    for number in range(40):
        url = f"{ORIGIN}/SimpleNotificationService-{number}.pem"
        subscription.verify(SnsMessage.read(Signer().body("text", SigningCertURL=url)))

    assert len(subscription._certificates) <= 16


def test_a_signature_of_another_key_is_refused(subscription: SnsSubscription) -> None:
    with pytest.raises(InvalidSignature):
        subscription.verify(SnsMessage.read(Signer(key="another").body("text")))


@pytest.mark.parametrize(
    "served",
    [
        certificate(rsa_key("sns"), valid_for=timedelta(days=-1)),
        certificate(ec.generate_private_key(ec.SECP256R1())),
        b"",
        b"<html>",
    ],
    ids=["expired", "an elliptic curve", "nothing", "no certificate"],
)
def test_a_certificate_that_cannot_be_used_is_refused(
    subscription: SnsSubscription, sns: FakeSns, served: bytes
) -> None:
    sns.certificate = served

    with pytest.raises(InvalidSignature):
        subscription.verify(SnsMessage.read(Signer().body("text")))


@pytest.mark.parametrize("status", [403, 404])
def test_a_certificate_that_sns_does_not_have_is_refused(
    subscription: SnsSubscription, sns: FakeSns, status: int
) -> None:
    sns.status = status

    with pytest.raises(InvalidSignature):
        subscription.verify(SnsMessage.read(Signer().body("text")))


def test_while_sns_does_not_answer_nothing_is_refused_for_good(subscription: SnsSubscription, sns: FakeSns) -> None:
    message = SnsMessage.read(Signer().body("text"))
    sns.status = 503
    with pytest.raises(VerificationUnavailable):
        subscription.verify(message)

    sns.status = 200
    subscription.verify(message)
    sns.server.close()
    with pytest.raises(VerificationUnavailable):
        subscription.verify(
            SnsMessage.read(Signer().body("text", SigningCertURL=f"{ORIGIN}/SimpleNotificationService-2.pem"))
        )


def test_the_age_of_a_message_is_measured_by_the_clock(sns: FakeSns) -> None:
    published = datetime.now(UTC)
    body = replace(Signer(), at=published).body("text")

    for later, is_accepted in {
        timedelta(minutes=-16): False,
        timedelta(minutes=-14): True,
        timedelta(hours=1, minutes=59): True,
        timedelta(hours=2, seconds=1): False,
    }.items():
        subscription = SnsSubscription(frozenset({TOPIC}), sns.fetch, clock=lambda at=published + later: at)
        if is_accepted:
            subscription.verify(SnsMessage.read(body))
        else:
            with pytest.raises(InvalidSignature):
                subscription.verify(SnsMessage.read(body))


@pytest.mark.parametrize(
    "change", [{"Type": "Other"}, {"Type": None}, {"Message": None}, {"Message": 5}, {"TopicArn": ["a"]}], ids=str
)
def test_what_is_not_a_message_of_sns_is_not_read(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a message of SNS"):
        SnsMessage.read(changed(Signer().body("text"), **change))
