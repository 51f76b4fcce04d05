"""The account, its balance and its numbers."""

import pytest
from django.contrib.auth.models import Group

from messaging import twilio_ids
from messaging.models import WebhookEndpoint
from messaging.services.installation import API_READER
from tests.factories import EndpointFactory, SenderFactory, UserFactory
from tests.messaging.twilio_api.conftest import SENDER, Twilio, twilio_of
from tests.messaging.twilio_api.facts import assert_error, assert_page, assert_resource

pytestmark = pytest.mark.django_db
URL = "https://example.com/sms"
PATH = f"IncomingPhoneNumbers/{twilio_ids.number_sid(SENDER)}.json"


def test_the_sdk_fetches_the_account_and_its_balance(client, twilio: Twilio) -> None:
    account = client.api.accounts(twilio.sid).fetch()
    balance = client.api.v2010.accounts(twilio.sid).balance.fetch()

    assert (account.sid, account.friendly_name, account.status) == (twilio.sid, "shop", "active")
    assert float(balance.balance) > 0
    assert [each.sid for each in client.api.accounts.list()] == [twilio.sid]


def test_all_are_as_documented_and_tell_no_token(twilio: Twilio) -> None:
    account = twilio.get(f"/2010-04-01/Accounts/{twilio.sid}.json")

    assert_resource("account", account.json())
    assert twilio.token not in account.content.decode()
    assert_resource("balance", twilio.get("Balance.json").json())
    assert_page("accounts", "account", twilio.get("/2010-04-01/Accounts.json").json())
    assert_page("incoming_phone_numbers", "number", twilio.get("IncomingPhoneNumbers.json").json())
    assert_resource("number", twilio.get(PATH).json())


def test_the_numbers_are_the_users_own_and_the_shared_ones(twilio: Twilio, client) -> None:
    SenderFactory(number="+15005550001", owner=twilio.user)
    SenderFactory(number="+15005550002", owner=UserFactory())
    SenderFactory(number="Clinic", owner=twilio.user)
    SenderFactory(number="12345", owner=twilio.user)

    assert {each.phone_number for each in client.incoming_phone_numbers.list()} == {SENDER, "+15005550001"}
    assert [each.phone_number for each in client.incoming_phone_numbers.list(phone_number="+15005550001")] == [
        "+15005550001"
    ]
    assert client.incoming_phone_numbers.list(phone_number="%\0_") == []


def test_numbers_are_paged_both_ways(twilio: Twilio, client) -> None:
    for number in range(4):
        SenderFactory(number=f"+1500555001{number}", owner=twilio.user)

    assert len(client.incoming_phone_numbers.list(page_size=2)) == 5
    second = twilio.get(twilio.get("IncomingPhoneNumbers.json", PageSize=2).json()["next_page_uri"]).json()
    first = twilio.get(second["previous_page_uri"]).json()
    assert (
        first["incoming_phone_numbers"]
        == twilio.get("IncomingPhoneNumbers.json", PageSize=2).json()["incoming_phone_numbers"]
    )


def test_an_sms_url_is_set_changed_and_taken_away(twilio: Twilio, client) -> None:
    number = client.incoming_phone_numbers(twilio_ids.number_sid(SENDER))

    assert number.update(sms_url=URL, sms_method="POST", friendly_name="mine").sms_url == URL
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.owner, endpoint.url, endpoint.dialect, endpoint.number, endpoint.events) == (
        twilio.user, URL, "twilio", SENDER, ["message.received"],
    )  # fmt: skip

    assert number.update(sms_url=f"{URL}2").sms_url == f"{URL}2"
    assert number.update(friendly_name="another").sms_url == f"{URL}2"
    assert WebhookEndpoint.objects.get().url == f"{URL}2"
    assert [each.sms_url for each in client.incoming_phone_numbers.list()] == [f"{URL}2"]

    assert number.update(sms_url="").sms_url is None
    assert not WebhookEndpoint.objects.exists()


def test_a_disabled_endpoint_is_enabled_when_its_url_is_set(twilio: Twilio) -> None:
    twilio.post(PATH, SmsUrl=URL)
    WebhookEndpoint.objects.update(is_enabled=False, disabled_reason="410 Gone")

    twilio.post(PATH, SmsUrl=URL)

    assert WebhookEndpoint.objects.get().is_enabled


def test_other_endpoints_are_left_alone(twilio: Twilio) -> None:
    plain = EndpointFactory(owner=twilio.user, url=URL, number=SENDER)
    others = EndpointFactory(owner=UserFactory(), url=URL, number=SENDER, dialect="twilio", events=["message.received"])

    assert twilio.get(PATH).json()["sms_url"] is None
    twilio.post(PATH, SmsUrl="")

    assert WebhookEndpoint.objects.filter(pk__in=[plain.pk, others.pk]).count() == 2


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"SmsUrl": "http://127.0.0.1/"}, 21402),
        ({"SmsUrl": "nonsense"}, 21402),
        ({"SmsUrl": f"https://example.com/{'a' * 600}"}, 21402),
        ({"SmsUrl": URL, "SmsMethod": "GET"}, 20001),
    ],
)
def test_an_address_that_is_not_called_is_refused(twilio: Twilio, fields: dict[str, str], code: int) -> None:
    assert_error(twilio.post(PATH, **fields), 400, code)
    assert not WebhookEndpoint.objects.exists()


def test_unknown_numbers_are_404(twilio: Twilio) -> None:
    foreign = SenderFactory(number="+15005550002", owner=UserFactory())

    for sid in ("PNx", twilio_ids.number_sid(foreign.number)):
        assert_error(twilio.get(f"IncomingPhoneNumbers/{sid}.json"), 404, 20404)
        assert_error(twilio.post(f"IncomingPhoneNumbers/{sid}.json", SmsUrl=URL), 404, 20404)


def test_a_reader_sets_nothing(twilio: Twilio) -> None:
    reader = UserFactory()
    reader.groups.add(Group.objects.get(name=API_READER))

    assert_error(twilio_of(reader).post(PATH, SmsUrl=URL), 403, 20006)


@pytest.mark.parametrize("way", ["A", "B"])
def test_a_token_of_no_row_leads_to_an_end(twilio: Twilio, way: str) -> None:
    for digit, is_found in (("f", way == "B"), ("0", way == "A")):
        found = twilio.get("IncomingPhoneNumbers.json", PageToken=f"P{way}{digit * 32}").json()

        assert bool(found["incoming_phone_numbers"]) == is_found
