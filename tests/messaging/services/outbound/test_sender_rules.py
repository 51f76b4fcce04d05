"""A sender that the recipient's country does not take is replaced, or the message is refused; others are left alone."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import CountrySenders, Message, MessageEvent, OwnerPolicy, Suppression
from messaging.services import installation, snapshots, transitions
from messaging.services.errors import InvalidField, OptedOut, SenderNotAllowedInCountry
from messaging.services.outbound import owner_policies, retry, sender_rules
from messaging.services.outbound.accept import accept
from messaging.services.outbound.dry_run import dry_run
from messaging.services.outbound.submit import MessageInput, submit, submit_many
from providers.models import SenderNumber
from tests.factories import NOW, MessageFactory, SenderFactory, UserFactory
from tests.scheduling.making import due_run, expand_all, recipient_list

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
US, BERLIN, NUMBER = "+14155550101", "+4915112345678", "+15005550111"
WHY = "US takes no names as senders, only numbers and short codes."
TOLD = f"Sender ACME replaced by {NUMBER}: the recipient's country takes no names."


@pytest.fixture
def owner():
    owner = UserFactory()
    SenderFactory(number="ACME", owner=owner, is_default=True)
    return owner


@pytest.fixture
def rules() -> None:
    sender_rules.install()
    CountrySenders.objects.update(is_enabled=True)
    sender_rules.expire()


@pytest.fixture
def fallback(owner) -> None:
    number = SenderFactory(number=NUMBER, owner=owner)
    owner_policies.change(owner=owner, changes={"fallback_sender": number}, now=NOW)


def draft(to: str = US, **values) -> MessageInput:
    return MessageInput(**{"to": to, "text": "Hi", "valid_for": 3600} | values)


def send(owner, to: str = US, **values) -> Message:
    message = submit(owner=owner, draft=draft(to, **values), default_queue="express", now=NOW)
    message.refresh_from_db()
    return message


class TestRefusal:
    @pytest.mark.parametrize("sender", ["ACME", None], ids=["named", "by default"])
    def test_without_a_fallback_nothing_is_stored(self, rules, owner, sender) -> None:
        for take in (submit, accept):
            with pytest.raises(SenderNotAllowedInCountry) as error:
                take(owner=owner, draft=draft(sender=sender), default_queue="express", now=NOW)
            assert error.value.detail == WHY

        assert not Message.objects.exists()

    def test_of_a_batch_only_those_to_the_country(self, rules, owner) -> None:
        found = submit_many(owner=owner, drafts=[draft(), draft(BERLIN)], default_queue="express", now=NOW)

        assert isinstance(found[0], SenderNotAllowedInCountry)
        assert [message.to_number for message in Message.objects.all()] == [BERLIN]

    def test_an_account_without_a_sender_decides_itself(self, rules) -> None:
        assert send(UserFactory()).from_number == ""

    def test_an_automatic_reply_keeps_its_sender(self, rules, owner) -> None:
        assert send(owner, sender="ACME", is_automatic=True).from_number == "ACME"

    def test_a_retry_is_refused_too(self, rules, owner) -> None:
        message = MessageFactory(owner=owner, status="failed", to_number=US, from_number="ACME")

        with pytest.raises(SenderNotAllowedInCountry):
            retry.retry(message_id=message.pk, reason="x", actor=owner, now=NOW)

        message.refresh_from_db()
        assert message.status == "failed"


class TestReplacement:
    def test_the_fallback_is_used_and_the_history_tells_it(self, rules, owner, fallback) -> None:
        message = send(owner)

        assert message.from_number == NUMBER
        assert [event.detail for event in transitions.history(message)] == [TOLD]
        assert send(owner, BERLIN).from_number == "ACME"
        assert MessageEvent.objects.count() == 1

    def test_a_stop_to_the_sender_that_was_asked_for_is_not_evaded(self, rules, owner, fallback) -> None:
        Suppression.objects.create(number=US, sender="ACME", source="api", created_at=NOW)

        for take in (submit, accept):
            with pytest.raises(OptedOut):
                take(owner=owner, draft=draft(), default_queue="express", now=NOW)

        assert send(owner, sender=NUMBER).from_number == NUMBER

    def test_accepted_one_by_one_too(self, rules, owner, fallback) -> None:
        first = accept(owner=owner, draft=draft(BERLIN), default_queue="express", now=NOW)
        other = accept(owner=owner, draft=draft(), default_queue="express", now=NOW)
        with CaptureQueriesContext(connection) as queries:
            again = accept(owner=owner, draft=draft("+4915112345679"), default_queue="express", now=NOW)

        assert [each.response["from"] for each in (first, other, again)] == ["ACME", NUMBER, "ACME"]
        if connection.vendor == "postgresql":
            assert len(queries) == 1  # the default sender is still known

    def test_a_sender_of_another_owner_is_refused_all_the_same(self, rules, owner, fallback) -> None:
        SenderFactory(number="OTHER", owner=UserFactory())

        with pytest.raises(InvalidField, match="not one of your senders"):
            accept(owner=owner, draft=draft(sender="OTHER"), default_queue="express", now=NOW)

    def test_a_fallback_that_the_country_does_not_take_either(self, rules, owner, fallback) -> None:
        CountrySenders.objects.filter(country="US").update(takes_numbers=False)
        sender_rules.expire()

        with pytest.raises(SenderNotAllowedInCountry):
            send(owner)

    def test_one_that_has_been_given_to_another_owner_is_not_used(self, rules, owner, fallback) -> None:
        SenderNumber.objects.filter(number=NUMBER).update(owner=UserFactory())
        sender_rules.expire()

        with pytest.raises(SenderNotAllowedInCountry):
            send(owner)

    def test_a_dry_run_shows_it(self, rules, owner, fallback, account) -> None:
        found = dry_run(owner=owner, draft=draft(), default_queue="express", now=NOW)
        [check] = [check for check in found.checks if check.code == "sender_not_allowed_in_country"]

        assert (found.message.from_number, check.verdict, check.detail) == (NUMBER, "passed", TOLD)

    def test_a_dry_run_without_one_is_refused(self, rules, owner, account) -> None:
        found = dry_run(owner=owner, draft=draft(), default_queue="express", now=NOW)

        assert [(check.code, check.detail) for check in found.checks if check.verdict == "refused"] == [
            ("sender_not_allowed_in_country", WHY)
        ]

    @pytest.mark.parametrize("is_replaced", [True, False])
    def test_a_schedule(self, rules, owner, request, is_replaced: bool) -> None:
        if is_replaced:
            request.getfixturevalue("fallback")
        run = due_run(owner, recipient_list(US, BERLIN), sender="ACME")
        expand_all()

        found = {message.to_number: message for message in Message.objects.all()}
        run.refresh_from_db()

        senders = {number: message.from_number for number, message in found.items()}
        assert senders == ({US: NUMBER, BERLIN: "ACME"} if is_replaced else {BERLIN: "ACME"})
        assert run.skipped_invalid == (0 if is_replaced else 1)
        if is_replaced:
            assert [event.detail for event in transitions.history(found[US])] == [TOLD]
            assert [event.detail for event in transitions.history(found[BERLIN])] == [""]


class TestRules:
    def test_they_are_shipped_switched_off_and_stay_as_staff_leave_them(self, owner) -> None:
        installation.install()
        assert send(owner).from_number == "ACME"
        CountrySenders.objects.filter(country="US").update(is_enabled=True, takes_names=True, takes_numbers=False)

        installation.install()

        row = CountrySenders.objects.get(country="US")
        assert (row.is_enabled, row.takes_names, row.takes_numbers) == (True, True, False)
        assert not CountrySenders.objects.exclude(country="US").filter(is_enabled=True).exists()

    def test_they_are_read_again_after_two_seconds(self, monkeypatch) -> None:
        times = [10.0]
        monkeypatch.setattr(sender_rules, "REFRESH_SECONDS", 2.0)
        monkeypatch.setattr(snapshots.time, "monotonic", lambda: times[0])
        sender_rules.use(sender_rules.SenderRules())
        assert sender_rules.current().rules == {}
        CountrySenders.objects.create(country="DE", takes_names=False)

        times[0] = 11.9
        assert sender_rules.current().rules == {}
        times[0] = 12.0
        assert set(sender_rules.current().rules) == {"DE"}

    def test_without_rules_a_message_costs_nothing(self, owner, fallback) -> None:
        accept(owner=owner, draft=draft(), default_queue="express", now=NOW)
        with CaptureQueriesContext(connection) as queries:
            accept(owner=owner, draft=draft("+14155550102"), default_queue="express", now=NOW + timedelta(seconds=1))

        assert not [query for query in queries if "countrysenders" in query["sql"] or "ownerpolicy" in query["sql"]]
        if connection.vendor == "postgresql":
            assert len(queries) == 1

    @pytest.mark.parametrize(
        ("number", "of_other", "code"),
        [("BRAND", False, "not_a_number"), ("+15005550199", True, "sender_not_allowed")],
    )
    def test_a_fallback_is_a_number_of_the_owner(self, owner, number: str, of_other: bool, code: str) -> None:
        sender = SenderFactory(number=number, owner=UserFactory() if of_other else owner)

        with pytest.raises(InvalidField) as error:
            owner_policies.change(owner=owner, changes={"fallback_sender": sender}, now=NOW)

        assert error.value.field_code == code
        assert not OwnerPolicy.objects.exists()
