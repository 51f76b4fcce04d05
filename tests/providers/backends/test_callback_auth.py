"""The values of `callback_auth`, and what is refused whatever they are."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from providers import callback_tokens
from providers.backends.signed_content import PLACEHOLDERS
from providers.contract.callbacks import CallbackRequest
from providers.contract.config_types import STORED
from providers.errors import InvalidSignature
from tests.providers.backends.signed_callbacks import (
    ADDRESS,
    BIRD,
    CONFIG,
    FORM,
    NOW,
    PLIVO_V3,
    SECRET,
    SINCH,
    TELNYX,
    VONAGE,
    VONAGE_JWT,
    auth,
    digest,
    is_verified,
    request,
)

# --- the words ------------------------------------------------------------------------------------------------------------


def test_the_word_token_reads_the_token_of_our_own_address() -> None:
    token = callback_tokens.make(slug="acme", attempt_id="", keys=("key",))
    other = callback_tokens.make(slug="other", attempt_id="", keys=("key",))

    assert auth("token").needs_token
    assert is_verified("token", replace(request(), token=token))
    for wrong in (other, "", "\u00e9", "\udc80", token[:-1]):
        assert not is_verified("token", replace(request(), token=wrong))


def test_the_word_hmac_is_the_short_form_of_a_recipe() -> None:
    callback = request(b"{}", {"X-Signature": f"sha256={digest(SECRET, b'{}').hex()}"})
    short = auth("hmac", secret=SecretStr(SECRET))

    short.verify(callback, now=NOW)

    assert not short.needs_token
    with pytest.raises(InvalidSignature):
        short.verify(request(b"{}", {"X-Signature": digest(SECRET, b"{}").hex()}), now=NOW)


def test_basic_credentials_are_the_same_as_a_word_and_as_an_object() -> None:
    named = CONFIG.validate_python({"type": "basic", "username": "us\u00e9r", "password": SECRET})
    word = auth("basic", username="us\u00e9r", password=SecretStr(SECRET))
    credentials = base64.b64encode(f"us\u00e9r:{SECRET}".encode()).decode()

    for found in (word, auth(named)):
        found.verify(request(headers={"Authorization": f"basic {credentials}"}), now=NOW)
        for wrong in ("", "Basic", "Basic \u00e9", f"Bearer {credentials}", f"Basic {credentials[:-4]}"):
            with pytest.raises(InvalidSignature):
                found.verify(request(headers={"Authorization": wrong}), now=NOW)


# --- what must be refused -------------------------------------------------------------------------------------------------


GARBAGE = ["", " ", ",", ",,,,", "=", "zz", "\u00e9", "\udc80", "\x00", "a.b.c", "Bearer ", "sha256=", "9" * 1_000_000]


@pytest.mark.parametrize(
    "config", [VONAGE, TELNYX, PLIVO_V3, SINCH, VONAGE_JWT, BIRD], ids=lambda config: config["type"]
)
@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda text: repr(text[:10]))
def test_garbage_is_refused_and_raises_nothing_else(config: dict[str, Any], garbage: str) -> None:
    names = ["header", "timestamp_header", "nonce_header"]
    headers = {str(config[name]): garbage for name in names if config.get(name)}
    encoded = f"sig={garbage}&timestamp={garbage}".encode("utf-8", "surrogatepass")

    for body in (b"", encoded, b"\xff\xfe\x00", b'{"a": "\\ud800", "sig": "1"}', b"[" * 100_000):
        for content_type in (FORM, "application/json", "text/plain", garbage):
            callback = request(body, {**headers, "Content-Type": content_type}, url=f"{ADDRESS}?{garbage}")
            assert not is_verified(config, callback)


@given(
    config=st.sampled_from([VONAGE, TELNYX, PLIVO_V3, SINCH, VONAGE_JWT, BIRD]),
    header=st.text(),
    stamp=st.just("1700000000") | st.text(),
    content_type=st.sampled_from([FORM, "application/json"]) | st.text(),
    body=st.binary(),
    query=st.text(),
)
def test_no_request_raises_anything_but_an_invalid_signature(
    *, config: dict[str, Any], header: str, stamp: str, content_type: str, body: bytes, query: str
) -> None:
    headers = {"content-type": content_type, "telnyx-timestamp": stamp, "x-sinch-webhook-signature-timestamp": stamp}
    headers |= {str(config.get(name)).lower(): header for name in ("header", "nonce_header")}

    assert not is_verified(config, CallbackRequest(f"{ADDRESS}?{query}", headers, body))


# --- configurations -------------------------------------------------------------------------------------------------------

HMAC = {"type": "hmac", "header": "X-Signature", "secret": {"env": "ACME_SECRET"}}


@pytest.mark.parametrize(
    "config",
    [
        *("token", "basic", "hmac", HMAC),
        {**HMAC, "signed": "{timestamp}.{body}", "timestamp_header": "X-Time", "tolerance": 60},
        {**VONAGE, "secret": {"env": "ACME_SECRET"}, "algorithm": "md5hash"},
        {**TELNYX, "public_key": {"env": "TELNYX_PUBLIC_KEY"}},
        {**BIRD, "secret": {"env": "ACME_SECRET"}},
        {"type": "basic", "username": {"env": "ACME_USER"}, "password": {"env": "ACME_PASSWORD"}},
    ],
)
def test_a_configuration_can_be_stored(config: Any) -> None:
    CONFIG.validate_python(config, context=STORED)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("plain", "Input should be 'token', 'basic' or 'hmac'"),
        ({"type": "rot13"}, 'must be "token"'),
        ({"env": "ACME"}, 'must be "token"'),
        (None, 'must be "token"'),
        ({**HMAC, "signed": "{timestmp}.{body}"}, "unknown placeholder {timestmp}; known: {body}"),
        ({**HMAC, "signed": "{body"}, "has a brace that belongs to no placeholder"),
        ({**HMAC, "signed": "constant"}, "must name a part of the request"),
        ({**HMAC, "signed": "{timestamp}", "timestamp_header": "X-Time"}, "must name a part of the request"),
        ({**HMAC, "signed": "{timestamp}.{body}"}, "needs timestamp_header or timestamp_field"),
        ({**HMAC, "timestamp_header": "X-Time"}, "timestamp_header is not covered by the signature"),
        (
            {**HMAC, "signed": "{timestamp}{body}", "timestamp_header": "X-Time", "timestamp_field": "time"},
            "only one can be used",
        ),
        ({**HMAC, "signed": "{body}{nonce}"}, "{nonce} in signed and nonce_header belong together"),
        ({**HMAC, "nonce_header": "X-Nonce"}, "{nonce} in signed and nonce_header belong together"),
        ({**HMAC, "tolerance": 60}, "tolerance needs timestamp_header"),
        ({**HMAC, "field": "sig"}, "needs header or field"),
        ({**HMAC, "header": None}, "needs header or field"),
        ({**HMAC, "algorithm": "md5"}, "MD5 is only for {sorted_pairs}"),
        ({**HMAC, "algorithm": "crc32"}, "Input should be 'sha256'"),
        ({**HMAC, "secret": "in-the-open"}, 'write {"env": "NAME"}'),
        ({**HMAC, "sigend": "{body}"}, "Extra inputs are not permitted"),
        ({**TELNYX, "public_key": "AAAA"}, "is not an Ed25519 public key"),
        ({**TELNYX, "public_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"}, "is not an Ed25519"),
        ({**BIRD, "secret": None}, "needs secret or public_key"),
        (
            {**BIRD, "secret": {"env": "ACME"}, "algorithms": ["HS256", "RS256"]},
            "need secret, the others need public_key",
        ),
        ({**BIRD, "secret": {"env": "ACME"}, "algorithms": ["none"]}, "Input should be"),
        ({**BIRD, "secret": {"env": "ACME"}, "algorithms": []}, "at least 1 item"),
        ({**BIRD, "secret": None, "public_key": "AAAA", "algorithms": ["RS256"]}, "is not a public key in PEM"),
    ],
)
def test_a_configuration_that_could_not_verify_is_refused_when_it_is_stored(config: Any, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CONFIG.validate_python(config, context=STORED)

    reasons = [error["msg"] for error in caught.value.errors(include_input=False, include_url=False)]
    assert reason in reasons[0]
    assert "in-the-open" not in " ".join(reasons)


def test_the_repr_of_a_recipe_has_no_secret() -> None:
    assert SECRET not in repr(CONFIG.validate_python(VONAGE))


def test_every_recipe_of_the_documentation_can_be_stored() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "callback-signatures.md").read_text()
    recipes = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL)]

    for recipe in recipes:
        CONFIG.validate_python(recipe, context=STORED)

    assert len(recipes) == 9
    assert {f"`{{{name}}}`" for name in PLACEHOLDERS} <= set(re.findall(r"`\{\w+\}`", text))
