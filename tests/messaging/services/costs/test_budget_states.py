import pytest

from messaging.models import Budget, BudgetSlot
from messaging.services.costs import budget_states
from tests.factories import NOW, UserFactory

pytestmark = pytest.mark.django_db
TODAY, MONTH = NOW.date(), NOW.date().replace(day=1)


def used_up(period: str, start, *used: int) -> None:
    budget = Budget.objects.create(owner=UserFactory(), period=period, limit_units=100, created_at=NOW, updated_at=NOW)
    BudgetSlot.objects.bulk_create(
        BudgetSlot(budget=budget, period_start=start, number=number, used=each) for number, each in enumerate(used)
    )


def test_budgets_are_counted_by_what_is_used_of_the_present_period(django_assert_num_queries) -> None:
    used_up("day", TODAY, 40, 39)
    used_up("day", TODAY, 40, 40)
    used_up("month", MONTH, 99)
    used_up("month", MONTH, 60, 40)
    used_up("day", MONTH, 100)  # another day's
    used_up("month", TODAY.replace(month=1, day=1), 100)

    with django_assert_num_queries(1):
        assert budget_states.counts(now=NOW) == {"near": 2, "spent": 1}
