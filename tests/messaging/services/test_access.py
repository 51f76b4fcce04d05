import pytest
from django.contrib.auth.models import Permission, User

from messaging.models import Message
from messaging.services.access import owned_by, sees_all
from tests.factories import MessageFactory

pytestmark = pytest.mark.django_db
VIEW = "messaging.view_message"


def user_with(*, is_staff: bool, may_view: bool) -> User:
    user = User.objects.create_user(f"staff-{is_staff}-view-{may_view}", is_staff=is_staff)
    if may_view:
        user.user_permissions.add(Permission.objects.get(codename="view_message"))
    return user


@pytest.mark.parametrize(("is_staff", "may_view"), [(False, False), (False, True), (True, False)])
def test_users_without_both_staff_status_and_the_permission_see_only_their_own(is_staff, may_view):
    user = user_with(is_staff=is_staff, may_view=may_view)
    own = MessageFactory(owner=user)
    MessageFactory(owner=user_with(is_staff=True, may_view=True))

    assert not sees_all(user, VIEW)
    assert [row.pk for row in Message.objects.filter(owned_by(user, VIEW))] == [own.pk]


def test_staff_with_the_permission_see_every_row():
    user = user_with(is_staff=True, may_view=True)
    rows = [MessageFactory(owner=user), MessageFactory(owner=user_with(is_staff=False, may_view=True))]

    assert sees_all(user, VIEW)
    assert {row.pk for row in Message.objects.filter(owned_by(user, VIEW))} == {row.pk for row in rows}
