"""Beginning a verification, and sending its code again."""

from datetime import timedelta

import pytest

from messaging.models import Message, Suppression, Verification, VerificationCount, VerificationLimit
from messaging.policy.template_content import TemplateVariable
from messaging.segments import measure
from messaging.services.errors import (
    InvalidField,
    OptedOut,
    ResendTooSoon,
    TooManySends,
    VerificationRateLimited,
)
from messaging.services.templates import lookup, saving
from tests.factories import NOW, SenderFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.verification.making import TO, begin, code_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]


@pytest.fixture
def owner(db):
    return UserFactory()


def test_a_code_is_sent_with_masks_first_in_its_queue_and_valid_as_long_as_the_code(owner) -> None:
    started = begin(owner, ttl=300)

    row, message = Verification.objects.get(), Message.objects.get()
    assert (started.verification.pk, started.message.pk) == (row.pk, message.pk)
    assert (row.status, row.sends, row.tries, row.message_ids) == ("pending", 1, 0, [str(message.pk)])
    assert row.expires_at == message.expires_at == NOW + timedelta(seconds=300)
    assert (message.category, message.priority, message.verification_id) == ("otp", 0, row.pk)
    assert message.text == "Your code is ******. Do not share it with anyone."
    assert (message.encoding, message.segments) == ("gsm7", 1)


def test_the_true_text_has_the_same_size(owner) -> None:
    message = begin(owner, locale="es", domain="shop.example.com").message
    code = code_of(Verification.objects.get())

    assert measure(message.text) == measure(message.text.replace("*" * 6, code))
    assert message.text == "Tu codigo es ******. No lo compartas.\n\n@shop.example.com #******"


def test_an_app_finds_its_code_by_the_hash_at_the_end(owner, settings) -> None:
    settings.VERIFY_BRAND = "Acme"

    message = begin(owner, locale="de-AT", app_hash="FA+9qCX9VSu", code_length=4).message

    assert message.text == "Dein Code für Acme ist ****. Gib ihn nicht weiter.\nFA+9qCX9VSu"


def test_smart_encoding_for_all_texts_moves_no_place_of_the_code(owner, settings) -> None:
    settings.SMART_ENCODING_DEFAULT, settings.VERIFY_BRAND = True, "Acme\u2026"

    message = begin(owner).message

    assert (message.text, message.encoding) == ("Your Acme... code is ******. Do not share it with anyone.", "gsm7")
    assert message.text == Verification.objects.get().text
    assert code_of(Verification.objects.get()).isdigit()


def test_smart_encoding_for_all_texts_moves_no_place_in_a_template(owner, settings) -> None:
    settings.SMART_ENCODING_DEFAULT = True
    saving.create(
        owner=owner,
        name="login",
        content=saving.TemplateInput(
            texts={"en": "Wait\u2026 {code}"},
            default_language="en",
            variables=[TemplateVariable(name="code", sample="123456", max_length=10)],
        ),
        actor=owner,
        now=NOW,
    )
    lookup.forget()

    message = begin(owner, template="login").message

    assert message.text == Verification.objects.get().text == "Wait... ******"
    assert code_of(Verification.objects.get()).isdigit()


def test_an_unknown_template_or_sender_stores_nothing(owner) -> None:
    for fields, code in (({"template": "x"}, "unknown_template"), ({"sender": "+15005550099"}, "sender_not_allowed")):
        with pytest.raises(InvalidField) as caught:
            begin(owner, **fields)
        assert (caught.value.field, caught.value.field_code) == (next(iter(fields)), code)
    assert not Verification.objects.exists()
    assert not Message.objects.exists()


def test_one_who_has_opted_out_gets_none(owner) -> None:
    Suppression.objects.create(number=TO, sender="", source="keyword", created_at=NOW)

    with pytest.raises(OptedOut):
        begin(owner)

    assert not Verification.objects.exists()
    assert not VerificationLimit.objects.exists()
    assert not VerificationCount.objects.exists()


def test_a_repeat_sends_the_same_code_and_text_until_the_same_end(owner) -> None:
    SenderFactory(number="+15005550006", owner=owner)
    first = begin(owner, sender="+15005550006")
    code = code_of(first.verification)

    again = begin(owner, now=NOW + timedelta(seconds=30), code_length=8, ttl=900, locale="de")

    assert (again.verification.pk, again.verification.sends) == (first.verification.pk, 2)
    assert code_of(again.verification) == code
    assert (again.message.text, again.message.from_number) == (first.message.text, first.message.from_number)
    assert again.message.expires_at == first.message.expires_at
    assert VerificationCount.objects.get().started == 1


def test_a_repeat_within_30_seconds_is_refused_with_the_wait(owner) -> None:
    begin(owner)

    with pytest.raises(ResendTooSoon) as caught:
        begin(owner, now=NOW + timedelta(seconds=12.5))

    assert caught.value.retry_after == 18
    assert Message.objects.count() == 1


def test_five_sends_are_the_most_and_a_new_code_comes_after_the_end(owner) -> None:
    for number in range(5):
        begin(owner, now=NOW + timedelta(seconds=30 * number))

    with pytest.raises(TooManySends) as caught:
        begin(owner, now=NOW + timedelta(seconds=150))
    later = begin(owner, now=NOW + timedelta(seconds=600))

    assert caught.value.retry_after == 450
    assert Message.objects.count() == 6
    assert list(Verification.objects.order_by("created_at").values_list("status", "sends")) == [
        ("expired", 5),
        ("pending", 1),
    ]
    assert later.verification.sends == 1


def test_others_have_their_own_verification_of_the_same_number(owner) -> None:
    begin(owner)
    begin(UserFactory())

    assert Verification.objects.filter(status="pending", to_number=TO).count() == 2


def test_one_whose_key_is_gone_is_replaced(owner, settings) -> None:
    first = begin(owner).verification
    settings.SECRET_KEY = "another key, and the old one is no fallback"

    second = begin(owner, now=NOW + timedelta(seconds=1)).verification

    first.refresh_from_db()
    assert (first.status, second.status) == ("expired", "pending")


@pytest.mark.parametrize(
    ("setting", "given", "others"),
    [
        ("VERIFY_MAX_PER_NUMBER", [{"to": TO}] * 3, {"to": "+14155550102"}),
        ("VERIFY_MAX_PER_PREFIX", [{"to": f"+141555502{n:02}"} for n in range(3)], {"to": "+14165550102"}),
        (
            "VERIFY_MAX_PER_ADDRESS",
            [{"to": f"+1415555020{n}", "client_address": f"2001:db8::{n}"} for n in range(3)],
            {"to": "+14155550209", "client_address": "2001:db8:0:1::1"},
        ),
    ],
)
def test_a_limit_refuses_with_the_wait_and_counts_no_refusal(settings, setting: str, given: list, others: dict) -> None:
    setattr(settings, setting, 2)
    for number, fields in enumerate(given[:2]):
        begin(UserFactory(), now=NOW + timedelta(minutes=number), **fields)

    for _ in range(2):
        with pytest.raises(VerificationRateLimited) as caught:
            begin(UserFactory(), now=NOW + timedelta(minutes=10), **given[2])
        assert caught.value.retry_after == 50 * 60 + 1
    begin(UserFactory(), now=NOW + timedelta(minutes=10), **others)
    begin(UserFactory(), now=NOW + timedelta(minutes=60), **given[2])

    assert Message.objects.count() == 4


def test_an_owner_has_a_limit_and_zero_is_none(settings, owner) -> None:
    settings.VERIFY_MAX_PER_OWNER, settings.VERIFY_MAX_PER_NUMBER = 2, 0
    begin(owner)
    begin(owner, to="+4915112345678")

    with pytest.raises(VerificationRateLimited):
        begin(owner, to="+4915112345679")
    begin(UserFactory(), to="+4915112345679")

    assert not VerificationLimit.objects.filter(key__startswith="number:").exists()


def test_limits_tell_no_number_and_no_address(owner) -> None:
    begin(owner, client_address="198.51.100.7")

    stored = " ".join(VerificationLimit.objects.values_list("key", flat=True))
    assert {key.partition(":")[0] for key in stored.split()} == {"number", "prefix", "address", "owner"}
    assert "4155550101" not in stored
    assert "198.51" not in stored


@pytest.mark.django_db(transaction=True)
def test_of_many_requests_at_once_one_sends(owner) -> None:
    results = at_once([lambda: begin(owner)] * 8)

    refused = [result for result in results if isinstance(result, ResendTooSoon)]
    assert len(refused) == 7, results
    assert (Verification.objects.count(), Message.objects.count()) == (1, 1)
    assert VerificationCount.objects.get().started == 1


@pytest.mark.django_db(transaction=True)
def test_a_limit_counts_exactly_when_many_ask_at_once(owner, settings) -> None:
    settings.VERIFY_MAX_PER_ADDRESS = 5

    results = at_once(
        [lambda n=n: begin(owner, to=f"+141555503{n:02}", client_address="198.51.100.7") for n in range(12)]
    )

    assert sum(isinstance(result, VerificationRateLimited) for result in results) == 7, results
    assert (Verification.objects.count(), Message.objects.count()) == (5, 5)
    assert VerificationCount.objects.get().started == 5
