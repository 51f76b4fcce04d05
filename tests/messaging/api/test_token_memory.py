"""A token is remembered for less than a second, and not longer than what it allows."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, transaction
from django.utils import timezone

from messaging import credential_memory
from messaging.api import token_memory
from messaging.api.token_memory import remembered
from messaging.credential_memory import MAX_CREDENTIALS, SECONDS, RecentCredentials
from messaging.models import ApiToken
from messaging.services.installation import API_SENDER
from tests.messaging.api.conftest import Api, assert_problem
from tests.messaging.parallel import at_once

BODY = {"to": "+14155550101", "message": "Hello"}


@pytest.fixture(autouse=True)
def _memory_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_memory, "SECONDS", SECONDS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("messaging.credential_memory.time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are made by another process: no signal reaches this one."""
    monkeypatch.setattr(token_memory.remembered, "clear", lambda: None)


def revoke(_user: User) -> None:
    ApiToken.objects.all().delete()


def deactivate(user: User) -> None:
    user.is_active = False
    user.save()


def leave_group(user: User) -> None:
    user.groups.clear()


def take_from_group(_user: User) -> None:
    group = Group.objects.get(name=API_SENDER)
    group.permissions.remove(Permission.objects.get(codename="add_message"))


def delete_group(_user: User) -> None:
    Group.objects.get(name=API_SENDER).delete()


REFUSED = {
    revoke: (401, "authentication_failed"),
    deactivate: (401, "authentication_failed"),
    leave_group: (403, "permission_denied"),
    take_from_group: (403, "permission_denied"),
    delete_group: (403, "permission_denied"),
}


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
class TestAChange:
    def test_of_this_process_is_seen_at_once(self, api: Api, change: Callable[[User], None]) -> None:
        assert api.post("messages/", BODY).status_code == 202

        change(api.user)

        assert_problem(api.post("messages/", BODY), *REFUSED[change])

    @pytest.mark.usefixtures("elsewhere")
    def test_of_another_process_is_seen_within_a_second(
        self, api: Api, change: Callable[[User], None], clock: list[float]
    ) -> None:
        assert api.post("messages/", BODY).status_code == 202

        change(api.user)
        clock[0] += SECONDS

        assert_problem(api.post("messages/", BODY), *REFUSED[change])

    @pytest.mark.usefixtures("no_redis", "elsewhere")
    def test_is_seen_while_redis_is_unavailable(
        self, api: Api, change: Callable[[User], None], clock: list[float]
    ) -> None:
        assert api.post("messages/", BODY).status_code == 202

        change(api.user)
        clock[0] += SECONDS

        assert_problem(api.post("messages/", BODY), *REFUSED[change])


def test_a_permission_of_the_user_is_removed(api: Api) -> None:
    api.user.groups.clear()
    permission = Permission.objects.get(codename="add_message")
    api.user.user_permissions.add(permission)
    assert api.post("messages/", BODY).status_code == 202

    api.user.user_permissions.remove(permission)

    assert_problem(api.post("messages/", BODY), 403, "permission_denied")


def test_a_permission_is_given(member_of) -> None:
    api = member_of()
    assert_problem(api.post("messages/", BODY), 403, "permission_denied")

    api.user.groups.add(Group.objects.get(name=API_SENDER))

    assert api.post("messages/", BODY).status_code == 202


def test_it_is_less_than_a_second() -> None:
    assert SECONDS < 1


@pytest.mark.usefixtures("clock")
def test_a_token_that_expires_between_two_requests_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    expiry = timezone.now() + timedelta(hours=1)
    ApiToken.objects.update(expiry=expiry)
    assert api.get("messages/").status_code == 200

    monkeypatch.setattr("messaging.api.authentication.timezone.now", lambda: expiry)

    assert_problem(api.get("messages/"), 401, "authentication_failed")


@pytest.mark.usefixtures("clock")
def test_a_token_that_differs_in_its_end_is_not_the_remembered_one(api: Api) -> None:
    assert api.get("messages/").status_code == 200

    assert_problem(Api(token=api.token[:-1] + "x").get("messages/"), 401, "authentication_failed")


@pytest.mark.usefixtures("clock")
def test_a_refusal_is_not_remembered(api: Api, django_assert_num_queries) -> None:
    wrong = Api(token=api.token[:-1] + "x")

    for _ in range(2):
        with django_assert_num_queries(1):
            assert_problem(wrong.get("messages/"), 401, "authentication_failed")


@pytest.mark.usefixtures("clock")
def test_tokens_of_two_users_are_not_mixed_up(api: Api, member_of) -> None:
    reader = member_of()

    for _ in range(2):
        assert api.post("messages/", BODY).status_code == 202
        assert_problem(reader.post("messages/", BODY), 403, "permission_denied")


@pytest.mark.usefixtures("clock")
def test_a_reader_may_change_what_it_gets(api: Api) -> None:
    memory, row = RecentCredentials[ApiToken](), ApiToken.objects.select_related("user").get()
    memory.put(row.digest, row, memory.begin())

    found = memory.get(row.digest)
    found.user.is_staff, found.name = True, "changed"

    again = memory.get(row.digest)
    assert (again.user.is_staff, again.name) == (False, row.name)


@pytest.mark.usefixtures("clock")
def test_a_row_read_before_a_change_is_not_remembered(api: Api) -> None:
    row = ApiToken.objects.select_related("user").get()
    begun = remembered.begin()

    ApiToken.objects.all().delete()
    row.pk = row.digest
    remembered.put(row.digest, row, begun)

    assert remembered.get(row.digest) is None


@pytest.mark.usefixtures("clock")
def test_the_longest_remembered_token_makes_room(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.credential_memory.MAX_CREDENTIALS", 2)
    memory = RecentCredentials[ApiToken]()
    rows = [ApiToken(digest=name, user=api.user) for name in "abc"]

    for row in rows:
        memory.put(row.digest, row, memory.begin())

    assert [memory.get(row.digest) is not None for row in rows] == [False, True, True]
    assert MAX_CREDENTIALS == 1_000


@pytest.mark.skipif(connection.vendor == "sqlite", reason="its transactions exclude each other")
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("clock")
def test_a_change_is_seen_after_its_commit_too(api: Api) -> None:
    with transaction.atomic():
        ApiToken.objects.all().delete()
        [between] = at_once([lambda: api.get("messages/").status_code])  # reads the rows from before the change

    assert between == 200
    assert_problem(api.get("messages/"), 401, "authentication_failed")


@pytest.mark.usefixtures("clock")
def test_many_threads_remember_and_forget_at_once(api: Api) -> None:
    memory, rows = RecentCredentials[ApiToken](), [ApiToken(digest=str(number), user=api.user) for number in range(8)]
    api.user.get_all_permissions()

    def use(row: ApiToken) -> set[str]:
        seen = set()
        for turn in range(200):
            memory.put(row.digest, row, memory.begin())
            found = memory.get(row.digest)
            seen.add(row.digest if found is None else found.digest)
            if turn % 50 == 0:
                memory.clear()
        return seen

    assert at_once([lambda row=row: use(row) for row in rows]) == [{row.digest} for row in rows]
