"""Signatures over a part of a callback: recipes of real providers with known values."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.providers.backends.signed_callbacks import (
    ADDRESS,
    PLIVO_FORM,
    PLIVO_V3,
    SECRET,
    SINCH,
    TELNYX,
    TELNYX_SIGNATURE,
    VONAGE,
    VONAGE_FORM,
    VONAGE_SIGNATURES,
    at,
    digest,
    form,
    is_verified,
    plivo,
    request,
)

# --- recipes of providers, with known values ------------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "signature"), VONAGE_SIGNATURES.items())
def test_vonages_signature_in_a_field_is_verified(algorithm: str, signature: str) -> None:
    config = {**VONAGE, "algorithm": algorithm}
    fields = VONAGE_FORM + f"&sig={signature.upper()}".encode()
    as_json = {"msisdn": "14155550101", "to": "14155550100", "messageId": "0A01", "text": "a&b=c", "nonce": "n1"}
    as_json |= {"timestamp": "1700000000", "sig": signature}

    assert is_verified(config, form(fields))
    assert is_verified(config, request(url=f"{ADDRESS}?token=ours&{fields.decode()}"))
    assert is_verified(config, request(json.dumps(as_json).encode(), {"Content-Type": "application/json"}))
    assert not is_verified(config, form(fields.replace(b"0A01", b"0A02")))
    assert not is_verified(config, form(fields, url=f"{ADDRESS}?status=delivered"))
    assert not is_verified(config, form(fields + b"&to=14155550100"))
    assert not is_verified(config, form(VONAGE_FORM))


def test_telnyx_is_verified_for_300_seconds_both_ways() -> None:
    headers = {"telnyx-signature-ed25519": TELNYX_SIGNATURE, "telnyx-timestamp": "1700000000"}
    callback = request(b'{"a":1}', headers)

    verified = [seconds for seconds in (-301, -300, 0, 300, 301) if is_verified(TELNYX, callback, now=at(seconds))]

    assert verified == [-300, 0, 300]
    assert not is_verified(TELNYX, replace(callback, body=b'{"a":2}'))


def test_a_public_key_may_be_base64_hex_or_pem() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    callback = request(b'{"a":1}', {"telnyx-signature-ed25519": TELNYX_SIGNATURE, "telnyx-timestamp": "1700000000"})

    for text in (TELNYX["public_key"], key.public_bytes_raw().hex(), pem):
        assert is_verified({**TELNYX, "public_key": text}, callback)


def test_plivo_v3_signs_the_address_and_all_fields() -> None:
    signature = "6NOMxkMgFEhb72lSW6eLp2w8igiolJuPqmVWeilqoKA="

    assert is_verified(PLIVO_V3, plivo(signature))
    assert is_verified(PLIVO_V3, plivo(f"{'A' * 43}=,{signature}"))
    assert not is_verified(PLIVO_V3, plivo(signature, body=PLIVO_FORM + b"&Status=sent"))
    assert not is_verified(PLIVO_V3, plivo(signature, url=f"{ADDRESS}?a=b"))
    assert not is_verified(PLIVO_V3, plivo(""))


@pytest.mark.parametrize(
    ("query", "body", "signed"),
    [
        ("", b"", "https://sms.example.com/in.12345"),
        ("?b=2&a=%41+1&a=0", b"", "https://sms.example.com/in?a=0&a=A 1&b=2.12345"),
        ("?b=2", b"To=1&From=%C3%A9&To=0", "https://sms.example.com/in?b=2.From\u00e9To0To1.12345"),
    ],
)
def test_the_address_is_joined_to_the_fields_as_plivo_does_it(query: str, body: bytes, signed: str) -> None:
    signature = base64.b64encode(digest("made-up-token", signed.encode())).decode()

    assert is_verified(PLIVO_V3, plivo(signature, body=body, url=f"{ADDRESS}{query}"))


def test_plivo_v2_signs_the_address_only() -> None:
    config = {
        "type": "hmac",
        "header": "X-Plivo-Signature-V2",
        "nonce_header": "X-Plivo-Signature-V2-Nonce",
        "encoding": "base64",
        "signed": "{url_without_query}{nonce}",
        "secret": "made-up-token",
    }
    callback = plivo("2GrIq9sD+MzcUmf6BIFK/vWpXo6VuKzlcUvh2HISyWY=", version="V2")

    assert is_verified(config, callback)
    assert not is_verified(config, replace(callback, url="https://sms.example.com/other"))


def test_sinch_signs_body_nonce_and_timestamp() -> None:
    body = (
        b'{"type":"recipient_delivery_report_sms","batch_id":"01FC66621XXXXX119Z8PMV1QPQ","recipient":"14155550101",'
        b'"code":0,"status":"Delivered","at":"2026-10-06T12:00:00.000Z"}'
    )
    headers = {
        "X-Sinch-Webhook-Signature": "2AZlD7tnGYoYDCVH0x78aNwxVqmVKhml7af2k1SbaOM=",
        "X-Sinch-Webhook-Signature-Nonce": "01FJA8B4A7BM43YGWSG9GBV067",
        "X-Sinch-Webhook-Signature-Timestamp": "1634579353",
    }
    signed_at = datetime.fromtimestamp(1_634_579_353, UTC)

    assert is_verified(SINCH, request(body, headers), now=signed_at)
    assert not is_verified(SINCH, request(body, headers), now=signed_at + timedelta(hours=1))
    assert is_verified({**SINCH, "tolerance": None}, request(body, headers), now=signed_at + timedelta(hours=1))
    assert not is_verified(SINCH, request(body + b" ", headers), now=signed_at)
    assert not is_verified(
        SINCH, request(body, {**headers, "X-Sinch-Webhook-Signature-Nonce": "\u00e9"}), now=signed_at
    )


def test_birds_newer_signature_is_over_the_hash_of_the_body() -> None:
    config = {
        "type": "hmac",
        "header": "messagebird-signature",
        "timestamp_header": "messagebird-request-timestamp",
        "encoding": "base64",
        "signed": "{timestamp}\n{url}\n{body_sha256}",
        "secret": SECRET,
    }
    content = b"1700000000\n" + ADDRESS.encode() + b"\n" + sha256(b"{}").digest()
    signature = base64.b64encode(digest(SECRET, content)).decode()
    headers = {"messagebird-signature": signature, "messagebird-request-timestamp": "1700000000"}

    assert is_verified(config, request(b"{}", headers))
    assert not is_verified(config, request(b"[]", headers))


def test_every_part_of_a_request_can_be_signed() -> None:
    template = "{method} {path}?{query} {url} {url_without_query} {body} {sorted_fields}"
    config = {"type": "hmac", "header": "X-Signature", "signed": template, "secret": SECRET}
    url = f"{ADDRESS}/%2f?b=1&a=%20"
    content = f"POST /in/%2f?b=1&a=%20 {url} {ADDRESS}/%2f z=1&a=2 a2z1".encode()

    assert is_verified(config, form(b"z=1&a=2", {"X-Signature": digest(SECRET, content).hex()}, url=url))


# --- timestamps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "timestamp", [None, "", "soon", "-1", "1.7e9", "\u0661", "9" * 400, "1699999699", "1700000301"]
)
def test_a_timestamp_that_is_missing_unreadable_old_or_of_the_future_is_refused(timestamp: str | None) -> None:
    body, sent = b"{}", timestamp or ""
    config = {**SINCH, "signed": "{body}.{timestamp}", "nonce_header": None}
    signature = base64.b64encode(digest(SECRET, f"{{}}.{sent}".encode())).decode()
    headers = {"X-Sinch-Webhook-Signature": signature}
    headers |= {} if timestamp is None else {"X-Sinch-Webhook-Signature-Timestamp": timestamp}

    assert not is_verified(config, request(body, headers))


def test_a_timestamp_may_be_in_milliseconds() -> None:
    config = {**SINCH, "signed": "{body}.{timestamp}", "nonce_header": None}
    signature = base64.b64encode(digest(SECRET, b"{}.1700000000999")).decode()
    headers = {"X-Sinch-Webhook-Signature": signature, "X-Sinch-Webhook-Signature-Timestamp": "1700000000999"}

    assert is_verified(config, request(b"{}", headers))
    assert not is_verified(config, request(b"{}", headers), now=at(302))
