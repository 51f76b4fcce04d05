"""The verdicts of the vendors' SDKs about callbacks, with the secrets of the contract tests."""

import importlib
import json
import warnings
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from messagebird.error import ValidationError
from messagebird.request_validator import RequestValidator as BirdValidator
from plivo.utils import validate_v3_signature
from vonage_http_client.auth import Auth

from providers.contract.callbacks import CallbackRequest
from tests.contract.presets import test_bird as bird
from tests.contract.presets import test_plivo as plivo
from tests.contract.presets import test_sinch as sinch
from tests.contract.presets import test_telnyx as telnyx
from tests.contract.presets import test_vonage as vonage

# What the SDK of Vonage signs with. For `md5hash` it wants None, which it then cannot work with.
VONAGE_METHODS = ("md5", "sha1", "sha256", "sha512")


def sdk_of(module: str) -> Any:
    """A module that takes seconds to load. Its source has escapes of which Python warns when it is first compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def _fields_for_vonage(request: CallbackRequest) -> dict[str, Any]:
    query = {name: value for name, value in parse_qsl(urlsplit(request.url).query) if name != "token"}
    is_json = request.headers.get("content-type") == "application/json"
    return query | (json.loads(request.body) if is_json else dict(parse_qsl(request.body.decode())))


def vonage_sdk(method: str) -> Auth:
    return Auth(api_key="abcd1234", signature_secret=vonage.SECRET, signature_method=method)


def vonage_accepts(request: CallbackRequest, method: str) -> bool:
    return vonage_sdk(method).check_signature(_fields_for_vonage(request))


def plivo_accepts(request: CallbackRequest) -> bool:
    proofs = [request.headers[name] for name in (f"{plivo.HEADER}-nonce", plivo.HEADER)]
    fields = parse_qs(request.body.decode(), keep_blank_values=True)
    return validate_v3_signature(request.method, request.url, proofs[0], plivo.TOKEN, proofs[1], fields)


def telnyx_accepts(request: CallbackRequest) -> bool:
    sdk = sdk_of("telnyx.lib.webhook_verification")
    try:
        sdk.verify_webhook_signature(request.body, request.headers, telnyx.TestTelnyx.environment["TELNYX_PUBLIC_KEY"])
    except sdk.WebhookVerificationError as error:
        if "does not match" not in str(error):
            raise
        return False
    return True


def sinch_accepts(request: CallbackRequest) -> bool:
    sdk = sdk_of("sinch.domains.sms.sinch_events.v1.sms_sinch_event")
    return sdk.SmsSinchEvent(sinch.SECRET).validate_authentication_header(dict(request.headers), request.body)


def bird_accepts(request: CallbackRequest) -> bool:
    try:
        BirdValidator(bird.KEY).validate_signature(request.headers[bird.HEADER], request.url, request.body)
    except ValidationError as error:
        if "hash is invalid" not in str(error):
            raise
        return False
    return True
