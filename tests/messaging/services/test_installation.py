"""What `manage.py setup` brings, and what it leaves alone."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.utils import timezone

from messaging.models import ApiToken, OutboundQueue
from messaging.services import installation
from providers.models import ProviderAccount, SenderNumber
from providers.registry import check_config

pytestmark = pytest.mark.django_db

SANDBOX = "http://127.0.0.1:9009"


def install_demo(*, sandbox_url: str = SANDBOX, known_token: str = "") -> installation.Demo:
    installation.install()
    return installation.install_demo(sandbox_url=sandbox_url, admin_password="a good password", known_token=known_token)


def permissions(name: str) -> set[str]:
    return {
        f"{app}.{codename}"
        for app, codename in Group.objects.get(name=name).permissions.values_list("content_type__app_label", "codename")
    }


def test_the_groups_have_their_permissions() -> None:
    installation.install()

    assert set(Group.objects.values_list("name", flat=True)) == {
        *("API reader", "API sender", "API operator"),
        *("Operator", "Viewer"),
    }
    for name, expected in installation.GROUPS.items():
        assert permissions(name) == set(expected)
    assert {name.split(".")[1].split("_")[0] for name in permissions("API reader")} == {"view"}
    assert "messaging.retry_message" in permissions("API operator")
    assert "messaging.retry_message" not in permissions("API sender")


def test_the_queues_have_their_pace() -> None:
    installation.install()

    queues = OutboundQueue.objects.values_list("name", "batch_size", "interval_seconds", "preserve_order", "is_paused")
    assert sorted(queues) == [("express", None, None, True, False), ("paced", 2, 120, True, False)]


def test_a_second_set_up_leaves_alone_what_people_changed() -> None:
    demo = install_demo()
    OutboundQueue.objects.filter(name="paced").update(batch_size=9, is_paused=True)
    ProviderAccount.objects.filter(slug="sandbox1").update(weight=5, is_enabled=False)
    admin = get_user_model().objects.get(username="admin")
    admin.set_password("another password")
    admin.save()

    again = install_demo(sandbox_url="http://127.0.0.1:9010/", known_token=demo.token)

    queue = OutboundQueue.objects.get(name="paced")
    assert (queue.batch_size, queue.is_paused) == (9, True)
    sandbox1 = ProviderAccount.objects.get(slug="sandbox1")
    assert (sandbox1.weight, sandbox1.is_enabled) == (5, False)
    assert sandbox1.config["url"] == "http://127.0.0.1:9010/provider1"
    assert get_user_model().objects.get(username="admin").check_password("another password")
    assert again == installation.Demo(created_admin=False, token=demo.token)
    assert ApiToken.objects.count() == 1
    assert SenderNumber.objects.count() == 1


def test_the_sandbox_is_two_carriers_at_30_and_70() -> None:
    install_demo()

    accounts = {account.slug: account for account in ProviderAccount.objects.all()}
    assert {slug: account.weight for slug, account in accounts.items()} == {"sandbox1": 30, "sandbox2": 70}
    assert accounts["sandbox1"].config["url"] == f"{SANDBOX}/provider1"
    assert accounts["sandbox2"].config["url"] == f"{SANDBOX}/provider2"
    for account in accounts.values():
        check_config(account.backend, account.config)


def test_the_sandbox_sender_is_the_shared_default_unless_there_is_one() -> None:
    SenderNumber.objects.create(number="+14155550199", is_default=True)

    install_demo()

    numbers = SenderNumber.objects.values_list("number", "owner", "account", "is_default")
    assert {str(number): rest for number, *rest in numbers} == {
        "+14155550199": [None, None, True],
        "+15005550006": [None, None, False],
    }


def test_an_admin_who_is_there_keeps_the_password() -> None:
    get_user_model().objects.create_superuser("admin", password="the old password")

    demo = install_demo()

    assert not demo.created_admin
    assert get_user_model().objects.get(username="admin").check_password("the old password")


@pytest.mark.parametrize("known", ["", "0" * 64])
def test_an_unknown_demo_token_is_replaced_and_only_one_stays(known: str) -> None:
    first = install_demo().token

    second = install_demo(known_token=known).token

    assert second != first
    assert [token.token_key for token in ApiToken.objects.all()] == [second[:15]]


def test_an_expired_demo_token_is_replaced() -> None:
    first = install_demo().token
    ApiToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))

    assert install_demo(known_token=first).token != first


def test_a_token_of_another_user_is_no_demo_token() -> None:
    other = installation.issue_token(username="shop", name="", valid_for=None)

    demo = install_demo(known_token=other)

    assert demo.token != other
    assert sorted(ApiToken.objects.values_list("user__username", flat=True)) == ["demo", "shop"]


def test_a_service_user_has_no_password_and_may_send_and_operate() -> None:
    installation.issue_token(username="shop", name="web shop", valid_for=timedelta(days=3))

    user = get_user_model().objects.get(username="shop")
    token = ApiToken.objects.get()
    assert not user.has_usable_password()
    assert not user.is_staff
    assert not user.is_superuser
    assert set(user.groups.values_list("name", flat=True)) == {"API sender", "API operator"}
    assert token.name == "web shop"
    assert token.expiry - token.created == pytest.approx(timedelta(days=3), abs=timedelta(seconds=1))


def test_a_second_token_changes_nothing_else_of_the_user() -> None:
    installation.issue_token(username="shop", name="", valid_for=None)
    user = get_user_model().objects.get(username="shop")
    user.groups.clear()

    installation.issue_token(username="shop", name="", valid_for=None)

    assert user.groups.count() == 0
    assert ApiToken.objects.filter(user=user, expiry=None).count() == 2
