"""Two people who save one template at once: one version is stored, and the other person is told."""

from datetime import UTC, datetime
from functools import partial

import pytest

from messaging.models import MessageTemplate, TemplateVersion
from messaging.services.errors import TemplateChanged, TemplateNameTaken
from messaging.services.templates import saving
from messaging.services.templates.saving import TemplateInput
from tests.factories import UserFactory
from tests.messaging.parallel import at_once

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
WRITERS = 8


def content(text: str) -> TemplateInput:
    return TemplateInput(texts={"en": text}, default_language="en")


def read_newest() -> TemplateVersion:
    return TemplateVersion.objects.select_related("template").latest("number")


def test_of_many_who_save_at_once_one_wins_and_nothing_is_lost() -> None:
    owner = UserFactory()
    saving.create(owner=owner, name="reminder", content=content("first"), actor=owner, now=NOW)
    texts = [f"text {number}" for number in range(WRITERS)]
    save = partial(saving.save, based_on=1, name="reminder", actor=owner, now=NOW)
    calls = [partial(save, newest=read_newest(), content=content(text)) for text in texts]

    outcomes = at_once(calls)

    saved = [each for each in outcomes if isinstance(each, TemplateVersion)]
    assert len(saved) == 1
    assert [type(each) for each in outcomes if each not in saved] == [TemplateChanged] * (WRITERS - 1)
    stored = TemplateVersion.objects.order_by("number").values_list("number", "texts")
    assert list(stored) == [(1, {"en": "first"}), (2, saved[0].texts)]
    assert MessageTemplate.objects.get().newest == 2


def test_of_many_who_create_one_name_at_once_one_wins() -> None:
    owner = UserFactory()
    create = partial(saving.create, owner=owner, name="reminder", content=content("first"), actor=owner, now=NOW)

    outcomes = at_once([create] * WRITERS)

    refused = [each for each in outcomes if isinstance(each, TemplateNameTaken)]
    assert len(refused) == WRITERS - 1
    assert TemplateVersion.objects.count() == MessageTemplate.objects.count() == 1
