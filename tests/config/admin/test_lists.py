"""Every list costs the same for one row and for fifty."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from messaging.models import ApiToken
from tests.factories import (
    AccountFactory,
    CallbackFactory,
    MessageFactory,
    PhoneNumberFactory,
    QueueFactory,
    SenderFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def _task(number: int) -> None:
    interval, _ = IntervalSchedule.objects.get_or_create(every=7, period="seconds")
    PeriodicTask.objects.create(name=f"task {number}", task="messaging.tick", interval=interval)


MAKERS: dict[str, Callable[[int], object]] = {
    "messaging/message": lambda _n: MessageFactory(owner=UserFactory(), provider=AccountFactory()),
    "messaging/providercallback": lambda _n: CallbackFactory(),
    "messaging/outboundqueue": lambda n: MessageFactory(queue=QueueFactory(name=f"q{n}")),
    "messaging/phonenumber": lambda _n: PhoneNumberFactory(),
    "messaging/apitoken": lambda _n: ApiToken.objects.create(user=UserFactory()),
    "providers/provideraccount": lambda _n: AccountFactory(),
    "providers/sendernumber": lambda _n: SenderFactory(owner=UserFactory(), account=AccountFactory()),
    "auth/user": lambda _n: UserFactory(),
    "auth/group": lambda n: Group.objects.create(name=f"group {n}"),
    "django_celery_beat/periodictask": _task,
    "django_celery_beat/intervalschedule": lambda n: IntervalSchedule.objects.create(every=n + 1000, period="seconds"),
}


@pytest.mark.parametrize("path", MAKERS)
def test_the_list_costs_the_same_for_one_row_and_for_fifty(admin: Client, path: str) -> None:
    costs = []
    for numbers in (range(1), range(1, 50)):
        for number in numbers:
            MAKERS[path](number)
        admin.get(f"/admin/{path}/")
        with CaptureQueriesContext(connection) as queries:
            assert admin.get(f"/admin/{path}/").status_code == 200
        costs.append(len(queries))

    assert costs[0] == costs[1]
