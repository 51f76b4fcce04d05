"""Twilio Verify: its SDK against our views, and every refusal."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from messaging.models import Message, Verification
from messaging.services.installation import API_READER
from tests.factories import UserFactory
from tests.messaging.services.verification.making import code_of, wrong
from tests.messaging.twilio_api.conftest import TO, Twilio, sdk, twilio_of
from tests.messaging.twilio_api.facts import assert_error

pytestmark = pytest.mark.django_db
SERVICE = "VA" + "0123456789abcdef" * 2
PATH = f"/v2/Services/{SERVICE}"
# The attributes of the SDK's own classes, which read all that Twilio documents.
KEYS = {
    "sid", "service_sid", "account_sid", "to", "channel", "status", "valid", "lookup", "amount", "payee",
    "send_code_attempts", "date_created", "date_updated", "sna", "url",
}  # fmt: skip
CHECK_KEYS = {
    "sid", "service_sid", "account_sid", "to", "channel", "status", "valid", "amount", "payee", "date_created",
    "date_updated", "sna_attempts_error_codes",
}  # fmt: skip


@pytest.fixture
def service(twilio: Twilio):
    client: Client = sdk(twilio)
    client.verify.base_url = "http://testserver"
    return client.verify.v2.services(SERVICE)


def begin(twilio: Twilio, **fields: str):
    return twilio.post(f"{PATH}/Verifications", **{"To": TO, "Channel": "sms", **fields})


def test_the_sdk_sends_a_code_and_checks_it(service, twilio: Twilio) -> None:
    sent = service.verifications.create(to=TO, channel="sms", locale="de")

    row = Verification.objects.get()
    assert (row.owner, row.to_number, row.text) == (twilio.user, TO, "Dein Code ist ******. Gib ihn nicht weiter.")
    assert (sent.sid, sent.status, sent.valid, sent.to, sent.channel) == (
        f"VE{row.pk.hex}",
        "pending",
        False,
        TO,
        "sms",
    )
    assert (sent.service_sid, sent.account_sid) == (SERVICE, twilio.sid)
    assert sent.date_created.tzinfo is not None
    assert [attempt["attempt_sid"] for attempt in sent.send_code_attempts] == [f"VL{Message.objects.get().pk.hex}"]
    code = code_of(row)
    tried = service.verification_checks.create(to=TO, code=wrong(code))
    assert (tried.status, tried.valid, tried.sid) == ("pending", False, sent.sid)
    right = service.verification_checks.create(verification_sid=sent.sid, code=code)
    assert (right.status, right.valid, right.to) == ("approved", True, TO)
    with pytest.raises(TwilioRestException) as again:
        service.verification_checks.create(to=TO, code=code)
    assert (again.value.status, again.value.code) == (404, 20404)


@pytest.mark.parametrize("status", ["canceled", "approved"])
def test_the_sdk_reads_and_ends_a_verification(service, status: str) -> None:
    sid = service.verifications.create(to=TO, channel="sms").sid

    assert service.verifications(sid).fetch().status == "pending"
    assert service.verifications(TO).fetch().sid == sid
    ended = service.verifications(sid).update(status=status)

    assert (ended.status, ended.valid) == (status, status == "approved")
    assert Verification.objects.get().status == status
    with pytest.raises(TwilioRestException) as again:
        service.verifications(sid).update(status=status)
    assert again.value.status == 404


def test_the_answers_have_every_key_of_the_sdk(twilio: Twilio) -> None:
    created = begin(twilio)
    checked = twilio.post(f"{PATH}/VerificationCheck", To=TO, Code="0000")

    assert (created.status_code, set(created.json())) == (201, KEYS)
    assert created.json()["url"] == f"http://testserver{PATH}/Verifications/{created.json()['sid']}"
    assert (checked.status_code, set(checked.json())) == (200, CHECK_KEYS)
    assert twilio.get(f"{PATH}/Verifications/{created.json()['sid']}").json()["sid"] == created.json()["sid"]


def test_after_five_wrong_codes_twilios_own_error_follows(twilio: Twilio) -> None:
    begin(twilio)
    code = code_of(Verification.objects.get())

    states = [
        twilio.post(f"{PATH}/VerificationCheck", To=TO, Code=wrong(code, n)).json()["status"] for n in range(1, 6)
    ]

    assert states == ["pending"] * 4 + ["max_attempts_reached"]
    assert_error(twilio.post(f"{PATH}/VerificationCheck", To=TO, Code=code), 429, 60202)


def test_an_expired_one_is_not_found_by_a_check(twilio: Twilio) -> None:
    begin(twilio)
    row = Verification.objects.get()
    Verification.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert_error(twilio.post(f"{PATH}/VerificationCheck", To=TO, Code=code_of(row)), 404, 20404)
    assert twilio.get(f"{PATH}/Verifications/VE{row.pk.hex}").json()["status"] == "expired"


def test_a_repeat_too_soon_and_a_sixth_send_are_429_with_the_wait(twilio: Twilio) -> None:
    begin(twilio)

    soon = begin(twilio)
    Verification.objects.update(sends=5)
    sixth = begin(twilio)

    assert_error(soon, 429, 20429)
    assert 1 <= int(soon.headers["Retry-After"]) <= 30
    assert_error(sixth, 429, 60203)
    assert Message.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"To": ""}, 400, 21604),
        ({"To": "12"}, 400, 21211),
        ({"To": "whatsapp:+14155550101"}, 400, 21910),
        ({"Channel": ""}, 400, 60200),
        ({"Channel": "call"}, 400, 60200),
        ({"CustomCode": "123456"}, 400, 60200),
        ({"CustomMessage": "Code: {}"}, 400, 60200),
        ({"AppHash": "short"}, 400, 60200),
        ({"DeviceIp": "localhost"}, 400, 60200),
        ({"TemplateSid": "HJ" + "0" * 32}, 400, 60200),
    ],
    ids=repr,
)
def test_a_refusal_sends_nothing(twilio: Twilio, fields: dict, status: int, code: int) -> None:
    assert_error(begin(twilio, **fields), status, code)

    assert not Verification.objects.exists()


@pytest.mark.parametrize("fields", [{"To": TO}, {"Code": "123456"}, {"To": TO, "Code": "abc"}, {"To": TO, "Code": "1"}])
def test_a_check_without_code_or_number_is_no_try(twilio: Twilio, fields: dict) -> None:
    begin(twilio)

    assert twilio.post(f"{PATH}/VerificationCheck", **fields).status_code == 400
    assert Verification.objects.get().tries == 0


def test_the_limit_per_address_counts_the_persons_device(twilio: Twilio, settings) -> None:
    settings.VERIFY_MAX_PER_ADDRESS = 1
    assert begin(twilio, DeviceIp="198.51.100.7").status_code == 201

    refused = begin(twilio, To="+14155550102", DeviceIp="198.51.100.7")

    assert_error(refused, 429, 20429)
    assert int(refused.headers["Retry-After"]) > 3_000
    assert Verification.objects.count() == 1


def test_anothers_verification_is_not_found(twilio: Twilio) -> None:
    sid = begin(twilio).json()["sid"]
    other = UserFactory(username="other", password="!")
    other.groups.set(twilio.user.groups.all())
    stranger = twilio_of(other)

    assert_error(stranger.get(f"{PATH}/Verifications/{sid}"), 404, 20404)
    assert_error(stranger.post(f"{PATH}/Verifications/{sid}", Status="canceled"), 404, 20404)
    assert_error(stranger.post(f"{PATH}/VerificationCheck", VerificationSid=sid, Code="123456"), 404, 20404)
    assert_error(stranger.post(f"{PATH}/VerificationCheck", To=TO, Code="123456"), 404, 20404)
    assert Verification.objects.get().tries == 0


def test_credentials_and_permissions_are_needed(twilio: Twilio) -> None:
    begin(twilio)
    twilio.user.groups.set(Group.objects.filter(name=API_READER))
    reader = twilio_of(twilio.user.__class__.objects.get(pk=twilio.user.pk))

    assert_error(begin(reader), 403, 20006)
    assert_error(reader.post(f"{PATH}/VerificationCheck", To=TO, Code="123456"), 403, 20006)
    assert reader.get(f"{PATH}/Verifications/{TO}").status_code == 200
    reader.login = (reader.sid, "0" * 32)
    assert_error(reader.get(f"{PATH}/Verifications/{TO}"), 401, 20003)


@pytest.mark.parametrize("path", [f"{PATH}/Nothing", "/v2/Services/VA1/Verifications", f"{PATH}/Verifications/x"])
def test_an_unknown_address_is_twilios_404(twilio: Twilio, path: str) -> None:
    assert_error(twilio.get(path), 404, 20404)
