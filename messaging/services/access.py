"""Row-level access: staff with the view permission see every row, all other users see only their own."""

from django.contrib.auth.models import User
from django.db.models import Q


def sees_all(user: User, permission: str) -> bool:
    """Return True for staff who hold `permission`, such as `messaging.view_message`."""
    return user.is_staff and user.has_perm(permission)


def owned_by(user: User, permission: str) -> Q:
    """Return the condition on a model with an `owner` that leaves the rows this user may see."""
    return Q() if sees_all(user, permission) else Q(owner=user)
