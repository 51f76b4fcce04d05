"""Operations on prefix rules and velocity limits."""

LIMIT_TEXTS: dict[str, tuple[str, str]] = {
    "prefix_rules_list": (
        "List prefix rules",
        """
        Returns the prefixes and countries that staff have allowed or blocked for you or for all owners. Satellite and
        premium-rate numbers are blocked without a rule.
        """,
    ),
    "prefix_rules_create": (
        "Allow or block a prefix",
        """
        Allows or blocks texts to a prefix or a country, for one owner or for all. The longest prefix that matches a number
        decides. To allow a country does not allow its premium-rate numbers; to allow a longer prefix does. Blocked texts
        are refused with 403 `prefix_blocked`; those that wait fail with the same code when they are due.

        Returns 201, or 200 if a rule for the same was replaced. In force within two seconds.
        """,
    ),
    "prefix_rules_retrieve": (
        "Read a prefix rule",
        """
        Returns one rule. 404 for the rule of another owner.
        """,
    ),
    "prefix_rules_destroy": (
        "Delete a prefix rule",
        """
        Deletes a rule. What is shipped holds again: satellite and premium-rate numbers are blocked, all others are allowed.
        """,
    ),
    "velocity_limits_list": (
        "List velocity limits",
        """
        Returns your own limits and those of all owners that have none of their own. Empty: nothing is limited.
        """,
    ),
    "velocity_limits_create": (
        "Set velocity limits",
        """
        Replaces the limits of one owner, or those of all owners without own ones. A text without room is refused with 429
        `recipient_rate_exceeded` or `velocity_exceeded` and `Retry-After`; in a batch it is an error of its item. Emergencies
        and automatic replies are not limited.

        Returns 201, or 200 if there were limits. In force within two seconds.
        """,
    ),
    "velocity_limits_retrieve": (
        "Read velocity limits",
        """
        Returns the limits of one owner or of all. 404 for those of another owner.
        """,
    ),
    "velocity_limits_destroy": (
        "Delete velocity limits",
        """
        Deletes the limits of one owner, which then has those of all, or those of all owners.
        """,
    ),
}
