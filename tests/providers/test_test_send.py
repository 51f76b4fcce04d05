"""A test message goes through one account, and the page shows the provider's response."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from messaging.models import Message
from providers.test_send import DEFAULT_TEXT, default_text
from tests.factories import AccountFactory, UserFactory
from tests.journeys.carrier import Carrier

pytestmark = pytest.mark.django_db
FORM = {"to": "+14155550101", "text": "A test"}


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


def send(client: Client, slug: str, **changes: str):
    return client.post(f"/admin/providers/provideraccount/{slug}/test/", {**FORM, **changes})


def test_the_provider_gets_it_even_through_a_disabled_account(admin: Client) -> None:
    with Carrier() as carrier:
        AccountFactory(slug="acme", is_enabled=False, config={"url": carrier.url})
        answer = send(admin, "acme").context["result"]

    assert (answer.error_code, answer.provider_message_id) == ("", "carrier-1")
    [asked] = carrier.calls
    assert (asked.content["to"], asked.content["message"]) == ("+14155550101", "A test")
    assert not Message.objects.exists()
    assert LogEntry.objects.get().change_message == "Sent a test message to +14155550101: accepted."


def test_what_went_wrong_is_shown(admin: Client) -> None:
    with Carrier(lambda _asked: (500, {})) as carrier:
        AccountFactory(slug="acme", config={"url": carrier.url})
        page = send(admin, "acme")

    answer = page.context["result"]
    assert answer.error_code
    assert answer.detail in page.content.decode()


def test_an_account_that_cannot_be_used_is_reported(admin: Client) -> None:
    AccountFactory(
        slug="acme", config={"url": "http://127.0.0.1:9/", "headers": {"X-Key": {"env": "PROVIDER_NOT_SET"}}}
    )

    assert send(admin, "acme").context["result"].error_code == "provider_misconfigured"


@pytest.mark.parametrize("changes", [{"to": "nobody"}, {"to": ""}, {"text": ""}, {"text": "x" * 161}])
def test_a_bad_form_sends_nothing(admin: Client, changes: dict[str, str]) -> None:
    with Carrier() as carrier:
        AccountFactory(slug="acme", config={"url": carrier.url})
        page = send(admin, "acme", **changes)

    assert list(page.context["form"].errors) == list(changes)
    assert carrier.calls == []


def test_a_user_without_the_permission_sends_nothing(admin: Client) -> None:
    AccountFactory(slug="acme")
    client = Client()
    client.force_login(UserFactory(is_staff=True))

    assert send(client, "acme").status_code == 403
    assert send(admin, "nobody").status_code == 404


def test_the_text_for_smpp_shows_how_the_carrier_reads_our_alphabet() -> None:
    assert default_text("smpp") == "@£$€[]{}é"
    assert default_text("twilio") == DEFAULT_TEXT
