"""API tokens that this process has just read."""

from messaging.credential_memory import RecentCredentials, clear_after_changes
from messaging.models import ApiToken

remembered = RecentCredentials[ApiToken]()

clear_after_changes(lambda: remembered.clear(), ApiToken)  # noqa: PLW0108 (tests replace the method)
