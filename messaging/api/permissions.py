"""API permissions: each view names the Django model permissions that its actions require."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class ModelPermissions(BasePermission):
    """Require `view.action_permissions[view.action]`, one permission or several. Actions without an entry are refused."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        action = getattr(view, "action", None)
        if action in {None, "metadata"}:  # no such method here: the view answers 405
            return True
        needed = getattr(view, "action_permissions", {}).get(action)
        return needed is not None and request.user.has_perms((needed,) if isinstance(needed, str) else needed)


class IsKnown(BasePermission):
    """Allow every authenticated user."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(request.user and request.user.is_authenticated)
