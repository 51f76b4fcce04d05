"""A row with an unreadable field behaves like any other until the field is accessed."""

import pytest
from django.db import transaction

from messaging.encryption import CannotBeOpened
from messaging.models import Message
from messaging.models.encrypted import Unopened, fault_of, opened
from scheduling.models import ScheduleRecipient
from tests.factories import MessageFactory, UserFactory, lose_the_key
from tests.scheduling.making import create, recipient_list

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]


@pytest.fixture
def lost() -> Message:
    message = MessageFactory(reference="before")
    lose_the_key(message)
    return Message.objects.get()


def test_an_unreadable_row_is_fetched_and_saved(lost) -> None:
    lost.reference = "after"
    lost.save(update_fields=["reference"])

    assert Message.objects.get().reference == "after"


def test_accessing_the_content_raises_with_the_reason(lost) -> None:
    with pytest.raises(CannotBeOpened, match="has no key 'lost'"):
        _ = lost.text
    assert str(fault_of(lost, "text")) == "FIELD_ENCRYPTION_KEYS has no key 'lost'"
    assert fault_of(MessageFactory(), "text") is None


def test_the_unreadable_content_is_not_overwritten(lost) -> None:
    with pytest.raises(CannotBeOpened), transaction.atomic():
        lost.save()

    assert str(fault_of(Message.objects.get(), "text")) == "FIELD_ENCRYPTION_KEYS has no key 'lost'"


def test_json_behaves_the_same() -> None:
    create(UserFactory(), recipient_list(("+14155550101", {"name": "Ada"})), text="Hi {name}")
    lose_the_key(ScheduleRecipient.objects.get(), "variables")

    with pytest.raises(CannotBeOpened):
        _ = ScheduleRecipient.objects.get().variables
    [value] = ScheduleRecipient.objects.values_list("variables", flat=True)
    assert isinstance(value, Unopened)
    with pytest.raises(CannotBeOpened):
        opened(value)
