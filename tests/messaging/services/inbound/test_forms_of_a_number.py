"""A STOP from one form of a number stops the texts to the other."""

from datetime import timedelta

import pytest

from messaging import e164
from messaging.models import Message, Suppression
from messaging.services.errors import OptedOut
from messaging.services.inbound.receive import InboundLimits, ingest
from messaging.services.outbound.submit import MessageInput, submit
from providers.contract.messages import InboundMessage
from providers.numbers import Notation, NumberFormat
from tests.factories import AccountFactory, QueueFactory, SenderFactory, UserFactory

pytestmark = pytest.mark.django_db
OURS = "+15005550006"
LIMITS = InboundLimits(160, 5, timedelta(minutes=1), timedelta(seconds=2))


@pytest.mark.parametrize(
    ("notation", "country", "reply", "written"),
    [
        (Notation.E164, None, "+5215512345678", "+52 55 1234 5678"),
        (Notation.DIGITS, None, "5215512345678", "+525512345678"),
        (Notation.DIGITS, None, "525512345678", "+5215512345678"),
        (Notation.DIGITS, None, "541123456789", "+5491123456789"),
        (Notation.E164, None, "+5491123456789", "+54 11 2345 6789"),
        (Notation.NATIONAL, "AR", "01115 2345-6789", "+541123456789"),
        (Notation.E164, None, "+4401711234567", "+441711234567"),
        (Notation.DOUBLE_ZERO, None, "00441711234567", "+44 (0)171 1234567"),
    ],
)
def test_a_stop_in_one_form_refuses_a_text_to_the_other(
    now, notation: Notation, country: str | None, reply: str, written: str
) -> None:
    SenderFactory(number=OURS, is_default=True)
    QueueFactory()
    sender = NumberFormat(notation, country).read(reply)

    ingest(InboundMessage("in-1", sender or reply, OURS, "STOP"), account=AccountFactory(), limits=LIMITS, now=now)

    with pytest.raises(OptedOut):
        submit(
            owner=UserFactory(),
            draft=MessageInput(to=e164.normalise(written), text="Hello", valid_for=60),
            default_queue="express",
            now=now,
        )
    assert Suppression.objects.get().number == e164.normalise(written)
    assert not Message.objects.filter(direction="outbound").exists()
