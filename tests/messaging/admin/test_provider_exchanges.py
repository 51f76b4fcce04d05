"""The page of an account: what it sent and received lately, what is wrong with it, and the addresses of its callbacks."""

import re
from datetime import datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messaging.models import Message
from providers.contract.messages import OutboundMessage
from providers.errors import Rejected, SendError
from providers.exchanges import Recording, decided_by, note_request, note_response
from providers.models import ProviderAccount
from providers.state import exchange_log
from providers.state.exchange_log import Outcome
from tests.factories import AccountFactory, CallbackFactory, MessageFactory
from tests.journeys.carrier import Carrier
from tests.messaging.admin.conftest import Staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> ProviderAccount:
    monkeypatch.setattr(exchange_log, "_sampler", exchange_log._Sampler())
    monkeypatch.setenv("PROVIDER_ACME_KEY", "the-secret-key")
    return AccountFactory(
        slug="acme", config={"url": "https://a.example/", "headers": {"X-Api-Key": {"env": "PROVIDER_ACME_KEY"}}}
    )


def page_of(client: Client, slug: str = "acme") -> str:
    response = client.get(reverse("admin:providers_provideraccount_change", args=[slug]))
    assert response.status_code == 200
    return response.content.decode()


def keep(
    account: ProviderAccount, at: datetime, error: SendError | None = None, message: Message | None = None
) -> None:
    recording = Recording()
    reference = str(message.pk) if message else "0190a1b2"
    with recording.of(OutboundMessage(to="+14155550101", text="Your code is 493201", sender=None, reference=reference)):
        note_request("POST", "https://a.example/", {"X-Api-Key": "the-secret-key"}, b'{"text": "Your code is 493201"}')
        note_response(200, {}, b'{"<status>": "4"}')
        decided_by("answer[1]: messages.0.status in 4")
    exchange_log.keep(account.slug, recording, Outcome(error, "" if error else "p1", 7, at=at), config=account.config)


def test_the_latest_exchanges_are_shown_newest_first_with_the_rule_that_decided(admin, account) -> None:
    now = timezone.now()
    keep(account, now, Rejected("refused with 4", code="bad_sender"))
    keep(account, now + timedelta(seconds=1))

    page = page_of(admin)

    assert re.findall(r'data-tone="\w+">(accepted|rejected)<', page) == ["accepted", "rejected"]
    assert page.count("answer[1]: messages.0.status in 4") == 4  # in the summary and in the details of each
    assert "<strong>bad_sender</strong>: refused with 4" in page
    assert "X-Api-Key: &lt;PROVIDER_ACME_KEY&gt;" in page
    assert "{&quot;&lt;status&gt;&quot;: &quot;4&quot;}" in page
    for hidden in ("493201", "4155550101", "the-secret-key"):
        assert hidden not in page


def test_exchanges_of_a_former_account_with_the_same_name_are_not_shown(admin, account) -> None:
    keep(account, account.created_at - timedelta(seconds=1))

    assert "Nothing was sent through this account in the last day." in page_of(admin)


@pytest.mark.usefixtures("no_redis")
def test_without_redis_the_page_is_shown(admin, account) -> None:
    assert "Nothing was sent through this account in the last day." in page_of(admin)


def test_a_message_is_linked_for_those_who_may_see_messages(staff: Staff, account) -> None:
    message = MessageFactory()
    keep(account, timezone.now(), message=message)
    link = reverse("admin:messaging_message_change", args=[message.pk])

    assert link in page_of(staff("providers.view_provideraccount", "messaging.view_message"))
    assert link not in page_of(staff("providers.view_provideraccount"))


ADDRESSES = "/admin/providers/provideraccount/acme/callback-addresses/"


def test_the_addresses_with_their_token_are_shown_when_asked_for_and_that_is_recorded(staff: Staff, account) -> None:
    client = staff("providers.view_provideraccount", "providers.change_provideraccount")
    page = page_of(client)

    shown = client.post(ADDRESSES)

    assert f'action="{ADDRESSES}"' in page
    assert "token=" not in page
    text = shown.content.decode()
    assert re.search(r"/webhooks/acme/status/\?token=\.[\w-]+<", text)
    assert re.search(r"/webhooks/acme/inbound/\?token=\.[\w-]+<", text)
    assert text.count("data-copy=") == 2
    assert "no-store" in shown["Cache-Control"]
    assert LogEntry.objects.get().change_message == "Showed the callback addresses."


def test_a_link_to_the_addresses_shows_nothing(admin, account) -> None:
    response = admin.get(ADDRESSES)

    assert (response.status_code, response["Location"]) == (302, "/admin/providers/provideraccount/acme/change/")
    assert not LogEntry.objects.exists()


def test_staff_who_may_not_change_the_account_do_not_see_its_addresses(staff: Staff, account) -> None:
    viewer = staff("providers.view_provideraccount")

    assert ADDRESSES not in page_of(viewer)
    assert "/webhooks/acme/" not in page_of(viewer)
    assert viewer.post(ADDRESSES).status_code == 403
    assert not LogEntry.objects.exists()


@pytest.mark.usefixtures("send_only")
def test_an_account_without_callbacks_and_an_unknown_one_have_no_addresses(admin) -> None:
    assert "Callback addresses" not in page_of(admin, "plain")
    assert admin.post(ADDRESSES.replace("acme", "plain")).status_code == 302
    assert admin.post(ADDRESSES.replace("acme", "nobody")).status_code == 404


def test_addresses_without_a_token_are_shown_on_the_page(admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "made-up")
    config = {"account_sid": "AC00", "auth_token": {"env": "TWILIO_AUTH_TOKEN"}, "from_number": "+15005550006"}
    AccountFactory(slug="twilio", backend="twilio", config=config)

    page = page_of(admin, "twilio")

    assert "/webhooks/twilio/status/<" in page
    assert "/webhooks/twilio/inbound/<" in page
    assert page.count("data-copy=") == 2


def test_an_account_that_cannot_be_used_says_why(admin) -> None:
    AccountFactory(slug="acme", config={"url": {"env": "PROVIDER_NOT_SET"}})

    page = page_of(admin)

    assert "This account cannot be used: environment variable PROVIDER_NOT_SET is not set." in page
    assert "/webhooks/acme/" not in page


def test_the_page_of_a_new_account_has_no_exchanges(admin) -> None:
    page = admin.get(reverse("admin:providers_provideraccount_add")).content.decode()

    assert "Latest requests" not in page


def test_the_callbacks_of_the_account_are_linked(staff: Staff, account) -> None:
    CallbackFactory(provider=account, provider_message_id="of-this-account")
    CallbackFactory(provider_message_id="of-another")
    client = staff("providers.view_provideraccount", "messaging.view_providercallback")

    [link] = re.findall(r'href="([^"]+)"><span[^>]*>call_received', page_of(client))
    found = client.get(link.replace("&amp;", "&")).content.decode()

    assert "of-this-account" in found
    assert "of-another" not in found
    assert "call_received" not in page_of(staff("providers.view_provideraccount"))


def test_a_test_message_shows_its_exchange_and_is_kept_without_its_text(admin, account) -> None:
    with Carrier(lambda _call: (422, {"error": "no route"})) as carrier:
        ProviderAccount.objects.update(config={**account.config, "url": carrier.url, "rejected": {"422": "no_route"}})
        answer = admin.post(
            "/admin/providers/provideraccount/acme/test/", {"to": "+14155550101", "text": "A test of staff"}
        )

    result = answer.content.decode()
    assert "A test of staff" in answer.context["result"].calls[0].body
    assert "<strong>no_route</strong>: the provider answered 422" in result
    assert "{&quot;error&quot;: &quot;no route&quot;}" in result
    assert "X-Api-Key: &lt;PROVIDER_ACME_KEY&gt;" in result
    page = page_of(admin)
    assert "&quot;&lt;text&gt;&quot;" in page
    assert "A test of staff" not in page
    assert '<span class="sb-badge">test</span>' in page
