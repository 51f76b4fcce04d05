"""Set up an installation: groups, queues and, for a demo, the sandbox.

Every function can be called again at any time: it adds what is missing and keeps what was changed.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser, Group, Permission
from django.db import transaction
from django.utils import timezone
from knox.crypto import hash_token

from messaging.models import ApiToken, OutboundQueue
from messaging.services.outbound import hours_rules, queues, sender_rules
from providers.models import ProviderAccount, SenderNumber

API_READER, API_SENDER, API_OPERATOR = "API reader", "API sender", "API operator"
VIEWER, OPERATOR = "Viewer", "Operator"

_READ = (
    "messaging.view_message",
    "messaging.view_deliveryattempt",
    "messaging.view_messageevent",
    "messaging.view_phonenumber",
    "messaging.view_outboundqueue",
    "messaging.view_prefixrule",
    "messaging.view_ownerpolicy",
    "messaging.view_budget",
    "messaging.view_suppression",
    "messaging.view_optoutcase",
    "messaging.view_velocitylimit",
    "messaging.view_messagetemplate",
    "messaging.view_webhookendpoint",
    "messaging.view_webhookdelivery",
    "messaging.view_verification",
    "scheduling.view_schedule",
    "media_store.view_mediaasset",
)
# For console users, who also need to be staff. Viewers see no message texts, tokens or passwords.
_VIEW = (
    *_READ,
    "messaging.view_alertreceiver",
    "messaging.view_hoursrule",
    "messaging.view_countrysenders",
    "messaging.view_providercallback",
    "messaging.view_pumpingalert",
    "messaging.view_suppression",
    "messaging.view_verificationcount",
    "providers.view_provideraccount",
    "providers.view_providerevent",
    "providers.view_sendernumber",
    "django_celery_beat.view_periodictask",
    "admin.view_logentry",
)
GROUPS: dict[str, tuple[str, ...]] = {
    VIEWER: _VIEW,
    OPERATOR: (
        *_VIEW,
        "messaging.view_text",
        "messaging.add_message",
        "messaging.change_message",
        "messaging.retry_message",
        "messaging.resolve_message",
        "messaging.change_phonenumber",
        "messaging.change_outboundqueue",
        "messaging.add_ownerpolicy",
        "messaging.change_ownerpolicy",
        "messaging.add_countrysenders",
        "messaging.change_countrysenders",
        "messaging.delete_countrysenders",
        "messaging.add_budget",
        "messaging.change_budget",
        "messaging.delete_budget",
        "messaging.add_hoursrule",
        "messaging.change_hoursrule",
        "messaging.delete_hoursrule",
        "messaging.change_verification",
        "messaging.add_prefixrule",
        "messaging.change_prefixrule",
        "messaging.delete_prefixrule",
        "messaging.change_pumpingalert",
        "messaging.add_velocitylimit",
        "messaging.change_velocitylimit",
        "messaging.delete_velocitylimit",
        "messaging.add_messagetemplate",
        "messaging.change_messagetemplate",
        "messaging.delete_messagetemplate",
        "messaging.add_suppression",
        "messaging.delete_suppression",
        "messaging.change_optoutcase",
        "providers.change_provideraccount",
        "scheduling.add_schedule",
        "scheduling.change_schedule",
        "scheduling.delete_schedule",
    ),
    API_READER: _READ,
    API_SENDER: (
        *_READ,
        "messaging.add_message",
        "messaging.change_message",
        "messaging.add_verification",
        "messaging.change_verification",
        "messaging.change_ownerpolicy",
        "messaging.add_messagetemplate",
        "messaging.change_messagetemplate",
        "messaging.delete_messagetemplate",
        "messaging.add_suppression",
        "messaging.delete_suppression",
        "messaging.change_optoutcase",
        "messaging.add_webhookendpoint",
        "messaging.change_webhookendpoint",
        "messaging.delete_webhookendpoint",
        "scheduling.add_schedule",
        "scheduling.change_schedule",
        "scheduling.delete_schedule",
        "media_store.add_mediaasset",
        "media_store.delete_mediaasset",
    ),
    API_OPERATOR: (
        *_READ,
        "messaging.retry_message",
        "messaging.add_budget",
        "messaging.change_budget",
        "messaging.delete_budget",
        "messaging.change_phonenumber",
        "messaging.change_outboundqueue",
        "messaging.view_verificationcount",
        "providers.view_provideraccount",
        "providers.change_provideraccount",
        "providers.view_sendernumber",
    ),
}
QUEUES: dict[str, dict[str, object]] = {
    "express": {"description": "Sent at once, as fast as the providers take it."},
    "paced": {"description": "Two messages every two minutes.", "batch_size": 2, "interval_seconds": 120},
}
SANDBOX_WEIGHTS = {"sandbox1": 30, "sandbox2": 70}
SANDBOX_PATHS = {"sandbox1": "provider1", "sandbox2": "provider2"}
SANDBOX_FIELDS = {
    "to": "to_number",
    "message": "message",
    "from": "from",
    "callback_url": "callback_url",
    "media": "media_urls",
    "id": "reference",
}
SANDBOX_SENDER = "+15005550006"
ADMIN, DEMO_USER, DEMO_TOKEN_NAME = "admin", "demo", "make run"


@dataclass(frozen=True)
class Demo:
    """`created_admin` is False when the user `admin` already existed: its password is unknown."""

    created_admin: bool
    token: str


@transaction.atomic
def install() -> None:
    """Create the groups with their permissions, the two queues and the shipped rules of hours."""
    _install_groups()
    hours_rules.install(now=timezone.now())
    sender_rules.install()
    for name, values in QUEUES.items():
        queue, _ = OutboundQueue.objects.get_or_create(name=name, defaults=values)
        queues.keep_beat_in_step(queue)


@transaction.atomic
def install_demo(*, sandbox_url: str, admin_password: str, known_token: str) -> Demo:
    """Create sandbox carriers, a sender number, an admin, and a service user with a token.

    `known_token` is returned when it is still valid; otherwise a new token replaces the last one.
    """
    for slug, weight in SANDBOX_WEIGHTS.items():
        _install_sandbox(slug, weight=weight, url=f"{sandbox_url.rstrip('/')}/{SANDBOX_PATHS[slug]}")
    _install_sender()
    user_model = get_user_model()
    created = not user_model.objects.filter(username=ADMIN).exists()
    if created:
        user_model.objects.create_superuser(ADMIN, password=admin_password)
    user = service_user(DEMO_USER)
    if _is_valid(known_token, user):
        return Demo(created, known_token)
    ApiToken.objects.filter(user=user, name=DEMO_TOKEN_NAME).delete()
    _, token = ApiToken.objects.create(user=user, expiry=None, name=DEMO_TOKEN_NAME)
    return Demo(created, token)


@transaction.atomic
def issue_token(*, username: str, name: str, valid_for: timedelta | None) -> str:
    """Create a token of that service user; the user is created if missing. Without `valid_for` it does not expire."""
    created: tuple[ApiToken, str] = ApiToken.objects.create(user=service_user(username), expiry=valid_for, name=name)
    return created[1]


def service_user(username: str) -> AbstractUser:
    """A user for programs, without a password, in the groups API sender and API operator."""
    _install_groups()
    user, created = get_user_model().objects.get_or_create(username=username)
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
        user.groups.add(*Group.objects.filter(name__in=[API_SENDER, API_OPERATOR]))
    return user


def _install_groups() -> None:
    wanted = {codename for codenames in GROUPS.values() for codename in codenames}
    permissions = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.filter(
            content_type__app_label__in={name.split(".")[0] for name in wanted}
        ).select_related("content_type")
    }
    for name, codenames in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.add(*(permissions[codename] for codename in codenames))


def _install_sandbox(slug: str, *, weight: int, url: str) -> None:
    """Update the URL, which changes with each start of the sandbox; keep the weight and all other values."""
    account, created = ProviderAccount.objects.get_or_create(
        slug=slug,
        defaults={"backend": "generic_http", "weight": weight, "config": {"url": url, "fields": SANDBOX_FIELDS}},
    )
    if not created and account.config.get("url") != url:
        account.config = {**account.config, "url": url}
        account.save(update_fields=["config", "updated_at"])


def _install_sender() -> None:
    """The sender becomes the shared default, unless there is one."""
    is_default = not SenderNumber.objects.filter(owner=None, is_default=True).exists()
    SenderNumber.objects.get_or_create(number=SANDBOX_SENDER, defaults={"is_default": is_default})


def _is_valid(token: str, user: AbstractUser) -> bool:
    if not token:
        return False
    kept = ApiToken.objects.filter(digest=hash_token(token), user=user).first()
    return kept is not None and (kept.expiry is None or kept.expiry > timezone.now())
