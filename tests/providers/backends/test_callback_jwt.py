"""Tokens of real providers, with known values, and what no token can do."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from providers.contract.callbacks import CallbackRequest
from tests.providers.backends.signed_callbacks import (
    ADDRESS,
    BIRD,
    JWT_SECRET,
    VONAGE_JWT,
    at,
    digest,
    is_verified,
    request,
    sha,
    unpadded,
)


def test_vonages_token_is_verified_with_the_hash_of_the_body() -> None:
    token = ".".join(
        (
            unpadded(b'{"alg":"HS256","typ":"JWT"}'),
            unpadded(
                b'{"iss":"Vonage","iat":1700000000,"jti":"j1","payload_hash":'
                b'"015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862","api_key":"abcd1234"}'
            ),
            "wZhTpVcReO9F_tsjl2v1al5rc_oX4VuV3G2jjcAcNxE",
        )
    )
    callback = request(b'{"a":1}', {"Authorization": f"bearer {token}"})

    verified = [seconds for seconds in (-61, -60, 0, 300, 301) if is_verified(VONAGE_JWT, callback, now=at(seconds))]

    assert verified == [-60, 0, 300]
    assert not is_verified(VONAGE_JWT, replace(callback, body=b'{"a":2}'))
    assert not is_verified(VONAGE_JWT, request(b'{"a":1}', {"Authorization": token}))
    assert not is_verified({**VONAGE_JWT, "issuer": "Other"}, callback)


def test_birds_token_is_about_the_address_and_the_body() -> None:
    url = f"{ADDRESS}?token=t"
    claims = {"iss": "MessageBird", "nbf": 1_700_000_000, "exp": 1_700_000_060, "url_hash": sha(url.encode())}
    with_body = {**claims, "payload_hash": sha(b"{}")}

    assert is_verified(BIRD, bird(with_body, b"{}", url))
    assert is_verified(BIRD, bird(claims, b"", url))
    assert not is_verified(BIRD, bird(claims, b"{}", url))
    assert not is_verified(BIRD, bird({**claims, "payload_hash": sha(b"")}, b"", url))
    assert not is_verified(BIRD, bird(with_body, b"{}", ADDRESS))
    assert not is_verified(BIRD, bird({**with_body, "iss": "Other"}, b"{}", url))
    assert not is_verified(BIRD, bird(with_body, b"{}", url, algorithm="none"))
    assert not is_verified({**BIRD, "algorithms": ["HS512"]}, bird(with_body, b"{}", url))


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": 1_699_999_939},
        {"exp": 1_700_000_060, "nbf": 1_700_000_061},
        {"exp": 1_700_000_060, "iat": 1_700_000_061},
        {"exp": 1_700_000_060, "iat": 1_699_999_699},
        {"exp": 1_700_000_060, "iat": []},
        {"iat": 10**400},
    ],
)
def test_a_token_outside_its_time_is_refused(claims: dict[str, Any]) -> None:
    body = b"{}"
    complete = {**claims, "payload_hash": sha(body)}
    token = jwt.api_jws.encode(json.dumps(complete).encode(), JWT_SECRET, "HS256")

    assert not is_verified(VONAGE_JWT, request(body, {"Authorization": f"Bearer {token}"}))


def test_a_token_by_a_public_key_is_verified_and_one_by_its_text_is_not() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    config = {"type": "jwt", "header": "X-Token", "algorithms": ["RS256", "ES256"], "public_key": pem}
    claims = json.dumps({"iat": 1_700_000_000, "payload_hash": sha(b"{}")}).encode()
    by_text = ".".join((unpadded(b'{"alg":"HS256"}'), unpadded(claims)))
    forged = f"{by_text}.{unpadded(digest(pem, by_text.encode()))}"

    assert is_verified(config, request(b"{}", {"X-Token": jwt.api_jws.encode(claims, private, "RS256")}))
    assert not is_verified(config, request(b"{}", {"X-Token": forged}))


def test_a_short_secret_of_a_provider_is_used_without_a_warning() -> None:
    token = unpadded(b'{"alg":"HS256"}') + "." + unpadded(b'{"iat":1700000000}')
    signed = f"{token}.{unpadded(digest('short', token.encode()))}"

    assert is_verified({**VONAGE_JWT, "secret": "short"}, request(headers={"Authorization": f"Bearer {signed}"}))


def bird(claims: Mapping[str, Any], body: bytes, url: str, *, algorithm: str = "HS256") -> CallbackRequest:
    key = JWT_SECRET if algorithm != "none" else None
    token = jwt.encode(dict(claims), key, algorithm=algorithm)
    return request(body, {"MessageBird-Signature-JWT": token}, url=url)
