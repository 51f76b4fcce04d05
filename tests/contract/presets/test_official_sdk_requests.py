"""Our request for a text beside that of the vendor's own SDK. Each test names the fields that differ on purpose.

They are defaults of the API, which one of the two writes out.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import plivo as plivo_sdk
import pytest
from messagebird import Client as BirdClient
from messagebird.http_client import HttpClient as BirdHttpClient
from vonage_http_client.auth import Auth

from providers.contract.messages import OutboundMessage
from tests.contract.fake_carrier import FakeCarrier, Received, answer
from tests.contract.presets import test_bird as bird
from tests.contract.presets import test_plivo as plivo
from tests.contract.presets import test_sinch as sinch
from tests.contract.presets import test_telnyx as telnyx
from tests.contract.presets import test_vonage as vonage
from tests.contract.presets.kit import GSM_TEXT, PUBLIC_URL, REFERENCE, SENDER, TO, PresetContract
from tests.contract.presets.official_sdks import sdk_of

CALLBACK_URL = f"{PUBLIC_URL}/webhooks/acme/status/?token=t"
BARE_TO, BARE_SENDER = TO.removeprefix("+"), SENDER.removeprefix("+")
MESSAGE = OutboundMessage(
    to=TO, text=GSM_TEXT, sender=SENDER, reference=REFERENCE, callback_url=CALLBACK_URL, encoding="gsm7"
)
Differences = Mapping[str, tuple[Any, Any]]


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCarrier]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # the SDKs use the environment's proxies
    with closing(FakeCarrier()) as carrier:
        yield carrier


def ours(carrier: FakeCarrier, contract: PresetContract) -> Received:
    carrier.play = contract.accepting(["id-1"])
    with closing(contract.make(carrier.url)) as backend:
        backend.send(MESSAGE)
    return carrier.received[-1]


def differences(mine: Received, theirs: Received) -> Differences:
    """The fields with other values in the two requests, as (ours, the SDK's); the rest of the requests is the same."""
    assert mine is not theirs
    assert (mine.method, mine.target) == (theirs.method, theirs.target)
    assert mine.headers["authorization"] == theirs.headers["authorization"]
    fields = (mine.json(), theirs.json())
    names = fields[0].keys() | fields[1].keys()
    pairs = {name: (fields[0].get(name), fields[1].get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def test_plivo(carrier: FakeCarrier, monkeypatch: pytest.MonkeyPatch) -> None:
    account = "MAMADEUPMADEUPMADEUP"  # of the length that the SDK wants
    url = f"https://api.plivo.com/v1/Account/{account}/Message/"
    environment = {**plivo.TestPlivo.environment, "PLIVO_AUTH_ID": account, "PLIVO_URL": url}
    mine = ours(carrier, type("Contract", (plivo.TestPlivo,), {"environment": environment})())
    monkeypatch.setattr("plivo.rest.client.PLIVO_API_BASE_URI", f"{carrier.url}/v1/Account")

    with plivo_sdk.RestClient(account, plivo.TOKEN) as client:
        client.messages.create(src=BARE_SENDER, dst=BARE_TO, text=GSM_TEXT, url=CALLBACK_URL, method="POST")

    defaults = {"log": (None, "true"), "trackable": (None, False)}
    assert differences(mine, carrier.received[-1]) == defaults


def test_sinch(carrier: FakeCarrier) -> None:
    mine = ours(carrier, sinch.TestSinch())
    carrier.play = answer(201, {"id": "id-1", "to": [BARE_TO], "from": BARE_SENDER, "body": "a", "type": "mt_text"})
    client = sdk_of("sinch").SinchClient(service_plan_id="made-up-plan", sms_api_token="made-up-token", sms_region="eu")
    client.configuration.sms_domain_with_service_plan_id = carrier.url

    client.sms.batches.send_sms(
        to=[BARE_TO],
        from_=BARE_SENDER,
        body=GSM_TEXT,
        delivery_report="per_recipient",
        event_destination_target=CALLBACK_URL,
        client_reference=REFERENCE,
    )
    client.configuration.transport.http_session.close()

    assert differences(mine, carrier.received[-1]) == {}


def test_bird(carrier: FakeCarrier) -> None:
    mine = ours(carrier, bird.TestBird())
    client = BirdClient("made-up-key", BirdHttpClient(carrier.url, "made-up-key", "made-up"))

    client.message_create(BARE_SENDER, [BARE_TO], GSM_TEXT, {"reference": REFERENCE, "reportUrl": CALLBACK_URL})

    assert differences(mine, carrier.received[-1]) == {"datacoding": ("plain", None)}


def test_telnyx(carrier: FakeCarrier) -> None:
    mine = ours(carrier, telnyx.TestTelnyx())
    sdk = sdk_of("telnyx")

    with sdk.Telnyx(api_key="made-up-key", base_url=f"{carrier.url}/v2") as client:
        client.messages.send(to=TO, from_=SENDER, text=GSM_TEXT, webhook_url=CALLBACK_URL)

    assert differences(mine, carrier.received[-1]) == {}


def test_vonage(carrier: FakeCarrier) -> None:
    """The pinned part of the SDK makes the credentials; the fields are in a package of their own."""
    mine = ours(carrier, vonage.TestVonage())
    credentials = {name.removeprefix("VONAGE_").lower(): value for name, value in vonage.TestVonage.environment.items()}

    assert mine.headers["authorization"] == Auth(**credentials).create_basic_auth_string()
