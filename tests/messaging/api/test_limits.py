"""REST views of prefix rules and velocity limits, and what a refused message is told."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group

from messaging.models import Message, PrefixRule, VelocityLimit
from messaging.services.installation import OPERATOR
from messaging.services.limits import rules
from tests.factories import NOW, UserFactory
from tests.installed import install
from tests.messaging.api.conftest import assert_problem

pytestmark = pytest.mark.django_db
SATELLITE, TO = "+881612345678", "+14155550101"
RULE = {"prefix": "+881", "is_allowed": True, "reason": "our ships"}
LIMITS = {"recipient_per_hour": 1, "reason": "a bug sent a thousand"}


@pytest.fixture
def staff(api):
    """The client of the tests as an operator of the console."""
    install()
    api.user.is_staff = True
    api.user.save()
    api.user.groups.add(Group.objects.get(name=OPERATOR))
    return api


class TestPrefixes:
    def test_a_satellite_number_is_refused_and_a_batch_says_it_of_the_item(self, api) -> None:
        detail = assert_problem(api.post("messages/", {"to": SATELLITE, "message": "Hi"}), 403, "prefix_blocked")[
            "detail"
        ]
        assert detail == "Texts to this number are not allowed: +881 is blocked: satellite network."
        batch = api.post(
            "messages/batch/", {"messages": [{"to": SATELLITE, "message": "Hi"}, {"to": TO, "message": "Hi"}]}
        )
        [refused, stored] = batch.json()["results"]
        assert refused["error"] == {"code": "prefix_blocked", "detail": detail}
        assert Message.objects.get().pk.hex == stored["id"].replace("-", "")

    def test_staff_allow_a_prefix(self, staff) -> None:
        response = staff.post("prefix-rules/", RULE)
        row = PrefixRule.objects.get()
        assert response.status_code == 201
        assert response.headers["Location"].endswith(f"/api/v1/prefix-rules/{row.pk}/")
        assert response.json() == staff.get(f"prefix-rules/{row.pk}/").json()
        assert response.json() | {"changed_at": ""} == {
            **RULE, "id": str(row.pk), "country": None, "owner": None, "changed_at": ""
        }  # fmt: skip
        assert staff.post("messages/", {"to": SATELLITE, "message": "Hi"}).status_code == 202
        assert "our ships" in LogEntry.objects.get().change_message

    def test_a_rule_for_the_same_is_replaced_and_deleted(self, staff) -> None:
        staff.post("prefix-rules/", RULE)
        assert staff.post("prefix-rules/", {**RULE, "is_allowed": False}).status_code == 200
        row = PrefixRule.objects.get()
        assert not row.is_allowed
        assert staff("DELETE", f"prefix-rules/{row.pk}/").status_code == 204
        assert not PrefixRule.objects.exists()
        assert LogEntry.objects.count() == 3

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"prefix": "881"}, "prefix"),
            ({"prefix": "+0"}, "prefix"),
            ({"prefix": "+14155550101"}, "prefix"),  # a person's number
            ({"country": "FR"}, "prefix"),
            ({"prefix": None}, "prefix"),
            ({"owner": "nobody"}, "owner"),
            ({"owner": "\u0000"}, "owner"),
            ({"reason": ""}, "reason"),
            ({"is_alowed": True}, "is_alowed"),
        ],
    )
    def test_what_is_wrong_is_a_400(self, staff, changes, field) -> None:
        body = assert_problem(staff.post("prefix-rules/", {**RULE, **changes}), 400, "invalid")
        assert [error["field"] for error in body["errors"]] == [field]
        assert not PrefixRule.objects.exists()


class TestVelocity:
    def test_a_text_beyond_the_limit_is_429_with_retry_after(self, staff) -> None:
        response = staff.post("velocity-limits/", {**LIMITS, "owner": staff.user.username})
        assert response.status_code == 201, response.content
        assert response.json()["recipient_per_hour"] == 1
        assert staff.post("messages/", {"to": TO, "message": "Hi"}).status_code == 202

        refused = staff.post("messages/", {"to": TO, "message": "Hi"})

        assert_problem(refused, 429, "recipient_rate_exceeded")
        assert 0 < int(refused.headers["Retry-After"]) <= 3900
        assert Message.objects.count() == 1

    def test_of_a_batch_the_items_beyond_it_are_refused(self, api) -> None:
        rules.save(VelocityLimit(calling_code_per_hour=2), now=NOW)
        messages = [{"to": f"+1415555010{n}", "message": "Hi"} for n in range(4)]
        results = api.post("messages/batch/", {"messages": messages}).json()["results"]
        assert [each.get("error", {}).get("code") for each in results] == [None, None, *["velocity_exceeded"] * 2]

    def test_limits_are_replaced_as_a_whole_and_deleted(self, staff) -> None:
        staff.post("velocity-limits/", {**LIMITS, "new_recipients_per_minute": 5})
        assert staff.post("velocity-limits/", {"recipient_of_all_per_hour": 9, "reason": "x"}).status_code == 200
        row = VelocityLimit.objects.get()
        assert (row.recipient_per_hour, row.new_recipients_per_minute, row.recipient_of_all_per_hour) == (None, None, 9)
        assert staff("DELETE", f"velocity-limits/{row.pk}/").status_code == 204
        assert not VelocityLimit.objects.exists()

    @pytest.mark.parametrize(
        "changes", [{"recipient_per_hour": -1}, {"recipient_per_hour": "1"}, {"recipient_of_all_per_hour": 0}]
    )
    def test_what_is_wrong_is_a_400(self, staff, changes) -> None:
        assert_problem(staff.post("velocity-limits/", {**LIMITS, **changes}), 400, "invalid")

    def test_the_limit_of_all_owners_has_no_owner(self, staff) -> None:
        body = {"recipient_of_all_per_hour": 1, "owner": staff.user.username, "reason": "x"}
        assert_problem(staff.post("velocity-limits/", body), 400, "invalid")


@pytest.mark.parametrize(("path", "body"), [("prefix-rules/", RULE), ("velocity-limits/", LIMITS)])
class TestAccess:
    def rows(self, path: str, api) -> list[str]:
        model = PrefixRule if path == "prefix-rules/" else VelocityLimit
        values = {"prefix": "+1", "is_allowed": False} if model is PrefixRule else {}
        owners = (api.user, None, UserFactory())
        return [str(model.objects.create(owner=owner, changed_at=NOW, **values).pk) for owner in owners]

    def test_a_client_reads_what_concerns_it_and_changes_nothing(self, api, path, body) -> None:
        own, common, others = self.rows(path, api)
        assert [row["id"] for row in api.get(path).json()["results"]] == [own, common]
        assert api.get(f"{path}{own}/").status_code == 200
        assert_problem(api.get(f"{path}{others}/"), 404, "not_found")
        assert_problem(api.post(path, body), 403, "permission_denied")
        assert_problem(api("DELETE", f"{path}{own}/"), 403, "permission_denied")

    def test_staff_see_all(self, staff, path, body) -> None:
        assert len(self.rows(path, staff)) == len(staff.get(path).json()["results"]) == 3
