"""Operations on webhook endpoints, the live API and provider callbacks."""

CALLBACK_TEXTS: dict[str, tuple[str, str]] = {
    "webhook_endpoints_list": (
        "List webhook endpoints",
        """
        Returns your endpoints, newest first. Staff users see all. `disabled_reason` and `failing_since` show which ones
        do not work.
        """,
    ),
    "webhook_endpoints_create": (
        "Add a webhook endpoint",
        """
        Adds an address to which your events are posted, signed as Standard Webhooks describes. `events` selects event
        types; an empty list selects all. `number` selects the messages of one of your senders. The response has the
        signing `secret`, which is not shown again.

        With the `dialect` `twilio` the address is called as Twilio calls a number's webhook: forms, signed with the auth
        token of your Twilio credential, so that `secret` is null; TwiML in the response is obeyed. Without that credential
        it is a 400 with `no_credential`.

        A private or loopback address is a 400 with `address_refused`. 409 `too_many_endpoints` is returned once you
        have 50.
        """,
    ),
    "webhook_endpoints_retrieve": (
        "Read a webhook endpoint",
        """
        Returns one endpoint without its secret.
        """,
    ),
    "webhook_endpoints_partial_update": (
        "Change a webhook endpoint",
        """
        Changes the fields that are sent: `url`, `events`, `dialect`, `number`, `description` or `is_enabled`. Enabling an
        endpoint clears `disabled_reason` and `failing_since`. Events that happened while it was disabled are not delivered
        by themselves: redeliver them for that period.

        A field that cannot be changed is a 400 with `read_only`.
        """,
    ),
    "webhook_endpoints_destroy": (
        "Delete a webhook endpoint",
        """
        Deletes the endpoint together with its deliveries. Deliveries that wait for a retry are dropped.
        """,
    ),
    "webhook_endpoints_rotate_secret": (
        "Rotate an endpoint's secret",
        """
        Creates a new signing secret and returns it; it is not shown again. For 24 hours callbacks are signed with both
        the new and the old secret, so that you can exchange it at any time. The request takes no body.

        409 `no_secret` if the endpoint's dialect is `twilio`: the auth token of your Twilio credential signs.
        """,
    ),
    "webhook_endpoints_default_secret": (
        "Check for a default secret",
        """
        Returns when the secret that signs calls to the `callback_url` of your messages was created, or null if there is
        none yet.
        """,
    ),
    "webhook_endpoints_rotate_default_secret": (
        "Rotate the default secret",
        """
        Creates a new secret for calls to the `callback_url` of your messages and returns it; it is not shown again.
        Call this before your first such message. The old secret stays valid for 24 hours. The request takes no body.
        """,
    ),
    "webhook_endpoints_test": (
        "Send a test event",
        """
        Posts a `webhook.test` event to the endpoint, without retries, and returns the delivery. List the endpoint's
        deliveries to see the result. With the dialect `twilio` it is the form of a text or a status that does not exist,
        and the response is not obeyed. 409 `endpoint_disabled` if the endpoint is disabled. The request takes no body.
        """,
    ),
    "webhook_endpoints_deliveries": (
        "List an endpoint's deliveries",
        """
        Returns the deliveries of the last 7 days, newest first, each with its number of attempts and the last error.
        Filter by `status` to find those that `failed`.
        """,
    ),
    "webhook_endpoints_redeliver_one": (
        "Redeliver one event",
        """
        Makes a delivery due again, with all its retries. The `webhook-id` stays the same, so that a receiver can
        recognise the event. The request takes no body.

        409 `not_redeliverable` while the delivery is being made, 409 `endpoint_disabled` if the endpoint is disabled.
        """,
    ),
    "webhook_endpoints_redeliver": (
        "Redeliver the events of a period",
        """
        Delivers every event from `since` to before `until` again, in order, including events that were delivered before
        and events that happened while the endpoint was disabled. One call covers at most 10,000 events. If
        `is_complete` is false, repeat the request with the `after` of the response.

        409 `endpoint_disabled` if the endpoint is disabled.
        """,
    ),
    "live_events": (
        "Stream your events",
        """
        Opens a stream of server-sent events with all your events from now on. To resume after a disconnect, send the
        last `id` that you received as `Last-Event-ID`: later events follow once and in order. Events are kept for 7
        days.

        A 400 means that the id was never issued. 429 `too_many_streams` means that as many streams are open as one user
        may have. 503 `served_by_live_process` means that the proxy routes `/api/v1/live/` to a process that runs
        `config.wsgi` instead of to `live`.
        """,
    ),
    "live_message": (
        "Stream the events of a message",
        """
        Opens a stream of server-sent events with the events of one message, from its first event on. Resuming and
        errors are as in the stream of all events.
        """,
    ),
    "live_wait": (
        "Wait for a message's status to change",
        """
        Returns the message as soon as its status differs from `after`, or as it is after `timeout` seconds (long
        polling). Without `after` the response comes at once. Compare the returned `status` with the one you know to tell
        the two apart.

        429 `too_many_streams` means that as many streams and waiting requests are open as one user may have.
        """,
    ),
    "webhooks_status": (
        "Receive delivery receipts",
        """
        For providers, not for clients. Takes one or several delivery receipts in the provider's own format, authenticated
        by the provider's signature or by the token in the callback address. Fields that Switchboard does not know are
        ignored.

        200 if the message of every receipt is known, with the `result` `applied` if one of them changed a message and
        `ignored` if none says anything new. 202 with `kept` if the message of one is not known yet: that receipt is applied
        when its message is known. A provider that expects a certain response gets that one instead. 403 for a bad
        signature, 400 for a request that cannot be read as a whole: then none of its receipts is used.
        """,
    ),
    "webhooks_status_get": (
        "Receive a delivery receipt in a query",
        """
        For providers that send receipts as GET: the values are in the query. Everything else is as for POST.
        """,
    ),
    "webhooks_inbound": (
        "Receive inbound messages from a provider",
        """
        For providers, not for clients. Takes one or several texts that were sent to your numbers, in the provider's own
        format, authenticated like delivery receipts: all of them are stored, or none. Fields that Switchboard does not know
        are ignored. A repeat with the same provider id is stored once. The response is what the provider expects.
        """,
    ),
    "webhooks_inbound_get": (
        "Receive an inbound message in a query",
        """
        For providers that send texts as GET: the values are in the query. Everything else is as for a text sent as POST.
        """,
    ),
}
