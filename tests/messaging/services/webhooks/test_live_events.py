"""Queries of live streams: bounded, with a constant number of queries for any number of streams."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.models import ApiToken, ClientEvent, Message
from messaging.services.webhooks import event_log, live_events
from messaging.services.webhooks.live_access import Subscriber, still_authorized
from tests.factories import NOW, ClientEventFactory, MessageFactory, UserFactory, lose_the_key, make_token

pytestmark = pytest.mark.django_db


def numbered(owner, count: int = 1, **more) -> list[int]:
    pks = [ClientEventFactory(message__owner=owner, **more).pk for _ in range(count)]
    event_log.number(now=NOW)
    return list(ClientEvent.objects.filter(pk__in=pks).order_by("pk").values_list("sequence", flat=True))


def test_the_log_is_read_in_consecutive_pages() -> None:
    owner = UserFactory()
    numbers = numbered(owner, 5)
    numbered(UserFactory())
    ClientEventFactory(message__owner=owner)  # not numbered yet

    after, pages = 0, []
    while not pages or pages[-1].has_more:
        pages.append(live_events.read(owner_id=owner.pk, message_id=None, after=after, limit=2))
        after = pages[-1].last_sequence

    assert [[event["sequence"] for event in page.events] for page in pages] == [
        numbers[:2],
        numbers[2:4],
        numbers[4:],
    ]
    assert live_events.read(owner_id=owner.pk, message_id=None, after=after).last_sequence == after


def test_a_page_of_erased_messages_is_not_the_end() -> None:
    owner = UserFactory()
    numbers = numbered(owner, 3)
    Message.objects.filter(pk__in=ClientEvent.objects.filter(sequence__in=numbers[:2]).values("message_id")).delete()

    page = live_events.read(owner_id=owner.pk, message_id=None, after=0, limit=2)

    assert (page.events, page.last_sequence, page.has_more) == ([], numbers[1], True)


def test_an_event_whose_text_cannot_be_decrypted_is_shown_without_it() -> None:
    owner = UserFactory()
    numbers = numbered(owner, 2)
    lost = Message.objects.get(pk=ClientEvent.objects.get(sequence=numbers[0]).message_id)
    lose_the_key(lost)

    page = live_events.read(owner_id=owner.pk, message_id=None, after=0)

    assert [event["data"]["message"] for event in page.events] == ["", "Your code is 123456"]
    assert [event["sequence"] for event in page.events] == numbers


@pytest.mark.parametrize("size", [1, 5])
def test_any_number_of_events_takes_three_queries(size: int, django_assert_num_queries) -> None:
    owner = UserFactory()
    numbered(owner, size)

    with django_assert_num_queries(3):
        assert len(live_events.read(owner_id=owner.pk, message_id=None, after=0).events) == size


def test_the_newest_of_many_owners_is_one_query(django_assert_num_queries) -> None:
    owners = [UserFactory() for _ in range(3)]
    newest = {owner.pk: numbered(owner, 2)[-1] for owner in owners[:2]}

    with django_assert_num_queries(1):
        assert live_events.newest({owner.pk for owner in owners}) == newest


@pytest.mark.skipif(connection.vendor != "postgresql", reason="asks PostgreSQL's planner")
def test_the_newest_is_found_by_index() -> None:
    owner = UserFactory()
    message = MessageFactory(owner=owner)
    ClientEvent.objects.bulk_create(
        ClientEvent(owner=owner, type="message.sent", at=NOW, message_id=message.pk, snapshot={}, sequence=n)
        for n in range(1, 3001)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_clientevent")

    with CaptureQueriesContext(connection) as queries:
        live_events.newest({owner.pk})
        live_events.read(owner_id=owner.pk, message_id=None, after=2990)
        live_events.read(owner_id=owner.pk, message_id=message.pk, after=2990)

    plans = []
    for query in queries:
        if "messaging_clientevent" in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {query['sql']}")
                plans.append("\n".join(line for (line,) in cursor.fetchall()))
    assert len(plans) == 3
    assert "clientevent_sequence_of_owner" in plans[0]
    assert "clientevent_sequence_of_owner" in plans[1]
    assert "clientevent_of_message" in plans[2]
    assert not any("Seq Scan on messaging_clientevent" in plan for plan in plans)


def test_the_last_sequence_is_of_all_owners() -> None:
    assert live_events.last_sequence() == 0

    [number] = numbered(UserFactory())

    assert live_events.last_sequence() == number


@pytest.mark.parametrize("size", [1, 5])
def test_any_number_of_subscribers_takes_two_queries(size: int, django_assert_num_queries) -> None:
    subscribers = set()
    for _ in range(size):
        user = UserFactory()
        user.user_permissions.add(Permission.objects.get(codename="view_message"))
        make_token(user, valid_for=timedelta(hours=1))
        subscribers.add(Subscriber(user.pk, token=ApiToken.objects.get(user=user).digest))

    with django_assert_num_queries(2):
        assert still_authorized(subscribers, now=timezone.now()) == subscribers


def test_a_token_is_valid_for_its_own_user_only() -> None:
    users = [UserFactory(is_superuser=True), UserFactory(is_superuser=True)]
    make_token(users[0])
    token = ApiToken.objects.get().digest

    assert still_authorized({Subscriber(user.pk, token=token) for user in users}, now=timezone.now()) == {
        Subscriber(users[0].pk, token=token)
    }


def test_without_the_permission_to_read_texts_only_those_streams_end() -> None:
    user = UserFactory(is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=["view_message", "view_text"]))
    make_token(user)
    token = ApiToken.objects.get().digest
    reading, looking, own = (
        Subscriber(user.pk, token=token, as_staff=as_staff, reads_texts=reads)
        for as_staff, reads in ((True, True), (True, False), (False, True))
    )
    before = still_authorized({reading, looking, own}, now=timezone.now())

    user.user_permissions.remove(Permission.objects.get(codename="view_text"))

    assert before == {reading, looking, own}
    assert still_authorized({reading, looking, own}, now=timezone.now()) == {looking, own}


def test_a_repr_shows_neither_token_nor_session() -> None:
    assert "secret" not in repr(Subscriber(1, token="secret-a", session="secret-b"))
