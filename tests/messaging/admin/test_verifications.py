"""The console's pages of verifications: read-only, without a code, with one action."""

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from messaging.models import Verification
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
