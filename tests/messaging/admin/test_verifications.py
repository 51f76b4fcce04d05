"""The console's pages of verifications: read-only, without a code, with one action."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.utils import timezone

from messaging.models import Verification, VerificationCount
from messaging.services import installation
from tests.factories import UserFactory
from tests.messaging.services.verification.making import TO, begin, code_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
LIST = "/admin/messaging/verification/"


@pytest.fixture
def row(db) -> Verification:
    return begin(UserFactory(username="shop"), now=timezone.now(), code_length=10).verification


def test_list_and_page_show_what_became_of_it_and_no_code(admin, row) -> None:
    code = code_of(row)

    listed = admin.get(LIST, {"q": "+1 415 555-0101"}).content.decode()
    page = admin.get(f"{LIST}{row.pk}/change/").content.decode()

    for content in (listed, page):
        assert TO in content
        assert "1 of 5" in content
        assert "0 of 5" in content
        assert code not in content
        assert bytes(row.nonce).hex() not in content
    assert f"/admin/messaging/message/{row.message_ids[0]}/change/" in page
    assert "shop" in page


def test_nothing_can_be_written(admin, row) -> None:
    assert admin.get(f"{LIST}add/").status_code == 403
    assert admin.post(f"{LIST}{row.pk}/change/", {"status": "approved", "_reason": "x"}).status_code == 403
    assert admin.post(f"{LIST}{row.pk}/delete/", {"post": "yes", "_reason": "x"}).status_code == 403
    assert Verification.objects.get().status == "pending"


def test_it_is_canceled_with_a_reason_that_is_recorded(admin, row) -> None:
    admin.post(LIST, {"action": "cancel_selected", "_selected_action": str(row.pk), "reason": "wrong number"})

    assert Verification.objects.get().status == "canceled"
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Cancel. Reason: wrong number"]
    page = admin.get(f"{LIST}{row.pk}/change/").content.decode()
    assert "cancel_selected" not in page


def test_one_who_may_only_see_them_has_no_action(staff, row) -> None:
    viewer = staff("messaging.view_verification")

    assert "cancel_selected" not in viewer.get(f"{LIST}{row.pk}/change/").content.decode()
    viewer.post(LIST, {"action": "cancel_selected", "_selected_action": str(row.pk), "reason": "x"})

    assert Verification.objects.get().status == "pending"


class TestConversion:
    PAGE = f"{LIST}conversion/"

    @pytest.fixture(autouse=True)
    def _counts(self) -> None:
        hour = timezone.now().replace(minute=0, second=0, microsecond=0)
        rows = (("+1415", "acme", 1000, 800), ("+1415", "bad", 100, 3), ("+49151", "", 4, 0))
        for prefix, slug, started, approved in rows:
            VerificationCount.objects.create(
                hour=hour, prefix=prefix, provider_slug=slug, started=started, approved=approved
            )
        VerificationCount.objects.create(
            hour=hour - timedelta(days=10), prefix="+1416", provider_slug="", started=50, approved=0
        )

    def test_those_that_miss_most_come_first_with_an_interval(self, admin) -> None:
        page = admin.get(self.PAGE)

        content = " ".join(page.content.decode().split())
        assert [(row.group["prefix"], row.group["provider"]) for row in page.context["groups"]] == [
            ("+1415", "bad"), ("+49151", ""), ("+1415", "acme"),
        ]  # fmt: skip
        assert "Of 1,104 verifications started within a" in content
        assert "803 were approved: 73 %." in content
        assert "between 1 and 8 %" in content
        assert "not sent" in content

    def test_another_period(self, admin) -> None:
        assert "+1416" in admin.get(f"{self.PAGE}?days=30").content.decode()
        for wrong in ("2", "x", "-1"):
            assert admin.get(self.PAGE, {"days": wrong}).context["days"] == 7

    def test_nothing_was_started(self, admin) -> None:
        VerificationCount.objects.all().delete()

        assert "No verification was started." in admin.get(self.PAGE).content.decode()

    def test_the_figures_of_all_owners_need_a_permission(self, client) -> None:
        installation.install()
        user = UserFactory(is_staff=True)
        user.groups.add(Group.objects.get(name="API reader"))
        client.force_login(user)

        assert client.get(LIST).status_code == 200
        assert client.get(self.PAGE).status_code == 403
