"""The vendors' own SDKs as judges of signatures: of those that our tests make, and of what our parsers accept.

What an SDK signs has the characters that encodings disagree about: `&`, `=`, `+`, a blank, signs outside ASCII, nothing.
"""

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plivo.utils import signature_v3, validate_signature
from twilio.request_validator import RequestValidator as TwilioValidator
from vonage_jwt.jwt import JwtClient
from vonage_jwt.verify_jwt import verify_signature

from providers.contract.callbacks import CallbackParser, CallbackRequest, callback_parser
from providers.registry import resolve_secrets
from tests.contract import test_twilio as twilio
from tests.contract.presets import test_bird as bird
from tests.contract.presets import test_plivo as plivo
from tests.contract.presets import test_sinch as sinch
from tests.contract.presets import test_telnyx as telnyx
from tests.contract.presets import test_vonage as vonage
from tests.contract.presets.kit import FORM, GSM_TEXT, PUBLIC_URL, UCS2_TEXT, Callback, PresetContract
from tests.contract.presets.official_sdks import (
    VONAGE_METHODS,
    bird_accepts,
    plivo_accepts,
    sdk_of,
    sinch_accepts,
    telnyx_accepts,
    vonage_accepts,
    vonage_sdk,
)
from tests.providers.backends.signed_callbacks import is_verified

Pairs = Sequence[tuple[str, str]]

RECIPES = (Path(__file__).parents[3] / "docs/callback-signatures.md").read_text()
ADDRESS = f"{PUBLIC_URL}/webhooks/acme/inbound/"
MESSAGES_API_SECRET = "made-up-secret-made-up-secret-32"

TEXTS = st.text(st.sampled_from("ab1 &=+%_.;€Яé👋"), max_size=6)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5)
HARD = [("Text", "a&b=c+d €"), ("From", "Привет"), ("Media", "2"), ("Media", "1"), ("Media", "2"), ("ключ", "")]


def vonage_by(method: str, contract: type[vonage.TestVonage]) -> vonage.TestVonage:
    """The contract for an API key with this method."""
    return type("Contract", (contract,), {"overrides": {"callback_auth": {"algorithm": method}}, "method": method})()


def documented(title: str, **changes: Any) -> dict[str, Any]:
    """A recipe of the documents, with the secrets of the contract tests."""
    found = re.search(rf"^{re.escape(title)}.*?^```json\n(.+?)\n```", RECIPES, re.DOTALL | re.MULTILINE)
    assert found
    contracts = (vonage.TestVonage, plivo.TestPlivo, telnyx.TestTelnyx, sinch.TestSinch)
    environment = {name: value for contract in contracts for name, value in contract.environment.items()}
    environment |= {"SMS_BIRD_SIGNING_KEY": bird.KEY, "SMS_AUTH_TOKEN": twilio.SECRET}
    return resolve_secrets(json.loads(found[1]) | changes, environment)


@cache
def parser_of(contract: PresetContract | twilio.TestTwilio) -> CallbackParser:
    with closing(contract.make("http://127.0.0.1:1")) as backend:
        parser = callback_parser(backend)
    assert parser is not None
    return parser


def with_a_changed_digit(request: CallbackRequest) -> CallbackRequest:
    return replace(
        request, url=request.url.replace("123456", "123457"), body=request.body.replace(b"123456", b"123457")
    )


@dataclass(frozen=True)
class Case:
    contract: PresetContract
    accepts: Callable[[CallbackRequest], bool]
    recipe: Mapping[str, Any]


CASES = {
    "plivo": Case(plivo.TestPlivo(), plivo_accepts, documented("Plivo, version 3")),
    "sinch": Case(sinch.TestSinch(), sinch_accepts, documented("Sinch:")),
    "telnyx": Case(telnyx.TestTelnyx(), telnyx_accepts, documented("Telnyx:")),
    "bird": Case(bird.TestBird(), bird_accepts, documented("MessageBird (")),
} | {
    f"{contract.__name__} {method}": Case(
        vonage_by(method, contract),
        partial(vonage_accepts, method=method),
        documented("Vonage, SMS API", algorithm=method),
    )
    for contract in (vonage.TestVonage, vonage.TestVonageInTheQuery, vonage.TestVonageInJson)
    for method in VONAGE_METHODS
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_sdk_accepts_what_our_tests_sign_and_nothing_else(case: Case) -> None:
    contract = case.contract
    receipt = contract.receipt([("id-123456", next(iter(contract.statuses)))])
    replies = [contract.reply(f"{text} 123456") for text in (GSM_TEXT, UCS2_TEXT)]

    for callback in (receipt, *replies):
        good = contract.signed(contract.request(callback, kind="inbound", attempt_id=""))
        bad = with_a_changed_digit(good)

        assert bad != good
        for request, verdict in ((good, True), (bad, False)):
            assert case.accepts(request) is verdict
            assert is_verified(case.recipe, request, now=datetime.now(UTC)) is verdict
        parser_of(contract).verify(good)


def test_the_sdk_of_plivo_accepts_what_our_tests_sign_in_a_query() -> None:
    callback = Callback(query={"Text": "a&b=c+d 123456", "From": "", "Media": "%41"}, method="GET")
    good = plivo.TestPlivo().signed(plivo.TestPlivo().request(callback, kind="inbound"))

    assert plivo_accepts(good)
    assert not plivo_accepts(with_a_changed_digit(good))


# --- what the SDKs sign -----------------------------------------------------------------------------------------------


def form(pairs: Pairs, headers: Mapping[str, str]) -> CallbackRequest:
    return CallbackRequest(ADDRESS, {"content-type": FORM, **headers}, urlencode(pairs).encode())


def by_vonage(pairs: Pairs, method: str) -> Iterator[CallbackRequest]:
    # A dict, as the SDK takes it: a repeated name has no signature there, and is refused here. The names are not those
    # of the signature and of our token.
    fields: dict[str, Any] = {f"a-{name}": value for name, value in pairs} | {"timestamp": str(int(time()))}
    signed = {**fields, "sig": vonage_sdk(method).sign_params(dict(fields))}
    yield form([*signed.items()], {})
    yield CallbackRequest(f"{ADDRESS}?{urlencode({**signed, 'token': 't'})}", {}, b"", method="GET")
    fields["number"] = 7
    signed = {**fields, "sig": vonage_sdk(method).sign_params(dict(fields))}
    yield CallbackRequest(ADDRESS, {"content-type": "application/json"}, json.dumps(signed).encode())


def by_plivo(pairs: Pairs) -> Iterator[CallbackRequest]:
    def proofs(signed: bytes) -> dict[str, str]:
        signature = signature_v3.get_signature_v3(plivo.TOKEN, signed.decode(), plivo.NONCE).decode()
        return {plivo.HEADER: signature, f"{plivo.HEADER}-nonce": plivo.NONCE}

    request = form(pairs, {})
    fields = parse_qs(request.body.decode(), keep_blank_values=True)
    # The SDK cannot read a query with signs outside ASCII: it raises UnicodeEncodeError.
    readable = [pair for pair in pairs if "".join(pair).isascii()]
    url = f"{ADDRESS}?{urlencode(readable)}" if readable else ADDRESS
    yield form(pairs, proofs(signature_v3.construct_post_url(ADDRESS, dict(fields))))
    yield replace(form(pairs, proofs(signature_v3.construct_post_url(url, dict(fields)))), url=url)
    yield CallbackRequest(url, proofs(signature_v3.construct_get_url(url, {})), b"", method="GET")


def by_sinch(pairs: Pairs) -> Iterator[CallbackRequest]:
    sdk = sdk_of("sinch.domains.authentication.sinch_events.v1.authentication_validation")
    for body in (json.dumps(dict(pairs)), json.dumps(pairs, ensure_ascii=False, indent=1)):
        signed = sdk.compute_signed_data(body, "made-up", "1634579353")
        proofs = {"": sdk.calculate_sinch_event_signature(signed, sinch.SECRET)}
        proofs |= {"-nonce": "made-up", "-timestamp": "1634579353"}
        headers = {f"{sinch.HEADER}{name}": value for name, value in proofs.items()}
        yield CallbackRequest(ADDRESS, {"content-type": "application/json", **headers}, body.encode())


def by_twilio(pairs: Pairs) -> Iterator[CallbackRequest]:
    # The SDK signs a pair that is there twice only once, and the recipe both: Twilio sends no such form.
    pairs = [*dict.fromkeys(pairs)]
    url = f"{ADDRESS}?{urlencode(pairs)}"
    validator = TwilioValidator(twilio.SECRET)
    fields = MultiDict({name: [value for key, value in pairs if key == name] for name, _value in pairs})
    yield form(pairs, {"x-twilio-signature": validator.compute_signature(ADDRESS, fields)})
    yield replace(form(pairs, {"x-twilio-signature": validator.compute_signature(url, fields)}), url=url)
    yield CallbackRequest(url, {"x-twilio-signature": validator.compute_signature(url, {})}, b"", method="GET")


class MultiDict(dict[str, list[str]]):
    def getlist(self, name: str) -> list[str]:
        return self[name]


@dataclass(frozen=True)
class Signer:
    requests: Callable[[Pairs], Iterator[CallbackRequest]]
    contract: PresetContract | twilio.TestTwilio
    recipe: Mapping[str, Any]


SIGNERS = {
    "plivo": Signer(by_plivo, plivo.TestPlivo(), documented("Plivo, version 3")),
    "sinch": Signer(by_sinch, sinch.TestSinch(), documented("Sinch:")),
    "twilio": Signer(by_twilio, twilio.TestTwilio(), documented("Twilio's own form")),
} | {
    f"vonage {method}": Signer(
        partial(by_vonage, method=method),
        vonage_by(method, vonage.TestVonage),
        documented("Vonage, SMS API", algorithm=method),
    )
    for method in VONAGE_METHODS
}


@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
@settings(max_examples=25, derandomize=True, deadline=None)
@example(pairs=HARD)
@given(pairs=PAIRS)
def test_what_the_sdk_signs_is_verified(signer: Signer, pairs: Pairs) -> None:
    for request in signer.requests(pairs):
        parser_of(signer.contract).verify(request)
        assert is_verified(signer.recipe, request, now=datetime.now(UTC))


def test_the_older_signature_of_plivo_is_verified() -> None:
    recipe = documented("Plivo, version 2")
    name = "x-plivo-signature-v2"
    url = f"{ADDRESS}?token=t"
    signature = b64encode(hmac.digest(plivo.TOKEN.encode(), f"{ADDRESS}{plivo.NONCE}".encode(), "sha256")).decode()
    request = CallbackRequest(url, {name: signature, f"{name}-nonce": plivo.NONCE}, b"")

    for nonce, verdict in ((plivo.NONCE, True), ("12346", False)):
        callback = replace(request, headers={**request.headers, f"{name}-nonce": nonce})
        assert validate_signature(url, nonce, signature, plivo.TOKEN) is verdict
        assert is_verified(recipe, callback, now=datetime.now(UTC)) is verdict


# --- the tokens of Vonage's Messages API ------------------------------------------------------------------------------


BODY = '{"message_uuid": "id-1", "text": "a&b=c+d € Привет"}'.encode()


def bearer(token: str, body: bytes = BODY) -> CallbackRequest:
    return CallbackRequest(ADDRESS, {"content-type": "application/json", "authorization": f"Bearer {token}"}, body)


def test_the_sdk_accepts_a_token_of_the_messages_api() -> None:
    claims = {"iss": "Vonage", "iat": int(time()), "jti": "made-up", "payload_hash": sha256(BODY).hexdigest()}
    good = bird.token(claims, key=MESSAGES_API_SECRET)
    other = bird.token({**claims, "jti": "made-uq"}, key=MESSAGES_API_SECRET)
    bad = f"{other.rpartition('.')[0]}.{good.rpartition('.')[2]}"
    recipe = documented("Vonage, Messages API", secret=MESSAGES_API_SECRET)

    for token, verdict in ((good, True), (bad, False)):
        assert verify_signature(token, MESSAGES_API_SECRET) is verdict
        assert is_verified(recipe, bearer(token), now=datetime.now(UTC)) is verdict
    # The SDK leaves the body to its user.
    assert not is_verified(recipe, bearer(good, BODY.replace(b"a&b", b"a&c")), now=datetime.now(UTC))


def test_a_token_that_the_sdk_signs_is_verified() -> None:
    key = generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    claims = {"iss": "Vonage", "payload_hash": sha256(BODY).hexdigest()}
    token = JwtClient("made-up-application", private).generate_application_jwt(claims).decode()
    recipe = documented("Vonage, Messages API", algorithms=["RS256"], public_key=public)
    del recipe["secret"]

    assert is_verified(recipe, bearer(token), now=datetime.now(UTC))
    assert not is_verified(recipe, bearer(token, BODY + b" "), now=datetime.now(UTC))
