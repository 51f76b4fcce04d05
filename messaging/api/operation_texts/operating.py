"""Operations on tokens, queues, provider accounts and statistics."""

OPERATING_TEXTS: dict[str, tuple[str, str]] = {
    "auth_token_create": (
        "Get a token",
        """
        Exchanges a user name and password, sent as HTTP Basic, for a bearer token. Send it as `Authorization: Bearer
        <token>` until `expires_at`. The request takes no body. Any active user may call this.

        401 if the credentials are wrong, 429 after too many failures from one address.
        """,
    ),
    "auth_logout_create": (
        "Revoke the token in use",
        """
        Revokes the bearer token of this request. Other tokens of the user stay valid. The request takes no body. Any
        user may call this.
        """,
    ),
    "budgets_list": (
        "List budgets",
        """
        Returns your budgets, newest first, each with its use in the present period. Staff see those of all users.
        """,
    ),
    "budgets_create": (
        "Set a budget",
        """
        Limits what a user may send in each day or month of UTC: segments or, with a `currency`, money by the highest
        configured price of the accounts that may carry the message. With a `country` it is of texts to that country.
        Requests beyond it are 429 `budget_exceeded` until the period ends. Staff only.

        400 if there is a budget of this owner, country, period and currency already: change that.
        """,
    ),
    "budgets_retrieve": (
        "Read a budget",
        """
        Returns one budget with its use and the end of the present period.
        """,
    ),
    "budgets_partial_update": (
        "Change the limit of a budget",
        """
        The new limit holds at once, for all processes. Below what is used already, messages are refused until the period
        ends or the limit is raised. Staff only.
        """,
    ),
    "budgets_destroy": (
        "Remove a budget",
        """
        Removes the limit and its counters. Staff only.
        """,
    ),
    "queues_list": (
        "List queues",
        """
        Returns all queues with their pace, whether they are paused, how many messages wait in them, and since when.
        """,
    ),
    "queues_retrieve": (
        "Read a queue",
        """
        Returns one queue. `depth` counts its queued messages; `oldest_queued_at` is when the oldest of them was
        created.
        """,
    ),
    "queues_partial_update": (
        "Change a queue",
        """
        Changes the fields that are sent. `batch_size` messages are sent every `interval_seconds`: set both, or both to
        null for a queue without a pace. A new pace takes effect at the next tick.

        `quiet_hours` hold the queue's messages in the recipient's night; a change takes effect within five seconds, also for
        messages that wait.

        Setting only one of the pace's two fields is a 400 with `half_a_pace`, a field that cannot be changed a 400 with
        `read_only`.
        """,
    ),
    "queues_pause": (
        "Pause a queue",
        """
        Stops sending from the queue at once. Calls to providers that have started are finished. New messages are still
        accepted and wait. Pausing a paused queue changes nothing. The request takes no body.
        """,
    ),
    "queues_resume": (
        "Resume a queue",
        """
        Starts sending from the queue again. A queue with a pace does not make up for the ticks that it missed. The
        request takes no body.
        """,
    ),
    "policy_retrieve": (
        "Read your policy",
        """
        Returns what holds for all messages of the user of the token: the quiet hours, and the time zone of numbers that tell
        none. Null means that nothing is set; without a time zone that of the installation is used.
        """,
    ),
    "policy_partial_update": (
        "Change your policy",
        """
        Changes the fields that are sent. Between the two wall times of `quiet_hours`, in the recipient's own time zone,
        messages wait with `outside_hours`; one-time passwords, emergencies and automatic replies to keywords do not. A
        change takes effect within five seconds, also for messages that wait.

        A 400 with `unknown_time_zone` for a name that is no IANA time zone, and with `no_quiet_hours` if they end when they
        begin.
        """,
    ),
    "providers_list": (
        "List provider accounts",
        """
        Returns all provider accounts with their weight, circuit state, error rate, refusal rate and latency over the last
        1 and 15 minutes. Refusals of a text or its recipient are no errors of the account. Their configuration is
        not part of the API. While Redis is unavailable, circuits are shown as closed and counts as zero.
        """,
    ),
    "providers_retrieve": (
        "Read a provider account",
        """
        Returns one provider account with its circuit state, error rate and latency.
        """,
    ),
    "providers_enable": (
        "Enable a provider account",
        """
        Sends messages through the account again. Messages that only this account can carry have waited for it. `reason`
        is optional and recorded.
        """,
    ),
    "providers_disable": (
        "Disable a provider account",
        """
        Stops sending through the account. Messages that only this account can carry wait until it is enabled or they
        expire. Receipts and inbound texts are still taken. `reason` is optional and recorded.
        """,
    ),
    "providers_open": (
        "Open an account's circuit",
        """
        Holds the account's circuit open: no message is sent through it, not even a probe, until it is reset. `reason`
        is required and recorded. 503 if Redis is unavailable; nothing has changed then.
        """,
    ),
    "providers_reset": (
        "Reset an account's circuit",
        """
        Closes the account's circuit, ends a pause and forgets its recent errors and reservations. `reason` is optional
        and recorded. 503 if Redis is unavailable; nothing has changed then.
        """,
    ),
    "stats_conversion_retrieve": (
        "Read conversion",
        """
        Returns how many of the verifications that were started in these days of UTC were approved, of all owners, by what
        `group_by` names. Groups with the most codes that were not confirmed but usually are come first; at most 1,000 are
        returned. An approval counts in the hour in which its verification was started.
        """,
    ),
    "stats_costs_retrieve": (
        "Read costs",
        """
        Returns what your messages have cost in these days of UTC, by currency and by what `group_by` names. Staff users get
        the figures of all owners. Only attempts that a carrier accepted, from accounts with a price for the number, are
        in it. Amounts in different currencies are never added.
        """,
    ),
    "stats_retrieve": (
        "Read statistics",
        """
        Returns counts of your messages: how many have been processed since `since`, how many wait now, and how many
        have each status. Staff users get the figures of all owners. `since` is rounded down to the hour.
        """,
    ),
}
