"""Operations on messages, phone numbers and suppressions."""

MESSAGE_TEXTS: dict[str, tuple[str, str]] = {
    "messages_list": (
        "List messages",
        """
        Returns your messages in both directions, newest first. Staff users see the messages of all owners. Filters can
        be combined, and `status` may be repeated.

        `count` is exact up to 10,000; above that it stays at 10,000 and `count_exact` is false. Pass an empty `cursor`
        to page by key instead: the cost of a page then does not grow with its depth, and there is no `count`.

        The maximum of `offset` is 10,000; a larger one is 400. If there are more rows, the `next` of the last page goes
        on by `cursor`.
        """,
    ),
    "messages_create": (
        "Send a message",
        """
        Stores one message for sending and returns 202 before any provider has been called. Follow its `status` at the
        address in `Location`, by client callbacks or by the live stream. With a `send_at` in the future the message is
        `scheduled`.

        Send an `Idempotency-Key` so that a repeated request does not send a second text. The repeat returns the first
        response with `Idempotent-Replay: true`. The same key with another body is 422 `idempotency_key_reused`. A request
        that is refused with 400 or 409 does not use the key.

        429 `budget_exceeded` if a budget of yours has no room for it; `Retry-After` is when its period ends.

        Error codes: 409 `recipient_inactive` if the number is deactivated, 409 `recipient_opted_out` if the recipient
        is suppressed, 403 `prefix_blocked` if texts to numbers of this prefix or type are blocked, 429
        `recipient_rate_exceeded` or `velocity_exceeded` with `Retry-After` if a velocity limit has no room (in a batch, an
        error of the item), 409 `sender_not_allowed_in_country` if the recipient's country does not take the sender,
        and in a 400 among others `invalid_number`, `sender_not_allowed`, `unknown_queue`, `too_long`,
        `media_not_supported` and `not_an_image` (a file that came in).
        """,
    ),
    "messages_batch": (
        "Send up to 1,000 messages",
        """
        Stores many messages in one request. Each item has the fields of a single message. Items are checked one by one:
        an item that is refused does not stop the others. `results` has an entry for each item, in order, with either
        the `id` of the message or an `error`.

        The response is 202 even if every item is refused, so check `rejected`. A 400 means that the list itself is not
        valid. An `Idempotency-Key` covers the whole batch.
        """,
    ),
    "messages_retrieve": (
        "Read a message",
        """
        Returns one message with its current status. The response has an `ETag`: a request with `If-None-Match` returns
        304 while nothing has changed. 503 `text_unreadable` means that the text cannot be decrypted with the current
        keys.
        """,
    ),
    "messages_events": (
        "List a message's status changes",
        """
        Returns every status change of the message, oldest first, with its source and, for changes by a provider, the
        provider.
        """,
    ),
    "messages_attempts": (
        "List a message's provider calls",
        """
        Returns every call to a provider for this message, in order. `outcome` is `accepted`, `unavailable`, `rejected`
        (the provider refused the text or its recipient) or `unknown`, and `calling` while the call is open. An `unknown` call
        may have reached the provider and is not repeated automatically.
        """,
    ),
    "messages_cancel": (
        "Cancel a message",
        """
        Cancels a message that is `scheduled` or `queued`, and returns it with the status `canceled`. The request takes
        no body.

        Once a worker has started to send the message, or it has ended, the response is 409 `not_cancelable`.
        """,
    ),
    "messages_retry": (
        "Retry a message",
        """
        Puts a message that is `failed`, `undelivered` or `unknown` back into its queue. `reason` is recorded in the
        history. The recipient may get an `unknown` message twice.

        409 `not_retryable` is returned for any other status and for an erased text, 409 `recipient_inactive` or
        `recipient_opted_out` if messages to the recipient are blocked.
        """,
    ),
    "messages_retry_many": (
        "Retry all messages that match",
        """
        Retries every message that matches the query, oldest first, up to 10,000 in one call. `status` is required and
        takes `failed`, `undelivered` and `unknown`. The other filters are those of the message list, and none of them
        may be empty.

        The response counts the messages that are queued again, and those refused by reason. If `more` is true, repeat the
        request.
        """,
    ),
    "messages_inbound": (
        "Record an inbound message",
        """
        Stores a text that was sent to one of your numbers, for gateways that cannot call a provider webhook.
        Keywords such as STOP are applied.

        A repeat of the same text within 2 seconds returns 200 with the first message and `Duplicate: true`. More than 5
        texts of one sender in 60 seconds are 429 `sender_rate_limited` with `Retry-After`. A text longer than 160
        characters is a 400 with `max_length`. An operator can change these limits.
        """,
    ),
    "messages_media_list": (
        "List a message's images",
        """
        Returns the images and other files of the message, in their order. Each `url` is the address of the file itself. A
        file that is lost is only in `media` of the message.
        """,
    ),
    "messages_media_create": (
        "Attach images to a message",
        """
        Uploads one or more images in the multipart field `file`, which may be repeated, and attaches them to the
        message. A message has at most 10. Returns all images of the message: 201 if any of them is new, otherwise 200.

        An inbound message takes images at any time, an outbound one only while it waits: later the response is 409
        `not_attachable`. Files are checked as in an upload to `/media/`. Images of a refused request may stay among
        your media.
        """,
    ),
    "phone_numbers_list": (
        "List phone numbers",
        """
        Returns the numbers that you have written to or received a message from. Staff users see all numbers. Filter by
        `status` to find those that are `inactive`.
        """,
    ),
    "phone_numbers_retrieve": (
        "Read a phone number",
        """
        Returns the number's status, and the reason for its last change. The number may be written with or without `+`,
        which is `%2B` in a path. 404 if you have never been in contact with it.
        """,
    ),
    "phone_numbers_messages": (
        "List the conversation with a phone number",
        """
        Returns your messages to and from this number, newest first. Pages are by `cursor` only: follow the link in
        `next`.
        """,
    ),
    "phone_numbers_activate": (
        "Activate a phone number",
        """
        Makes an inactive number `active`, so that messages to it are accepted again. `reason` is recorded. A
        suppression of the number stays in force.
        """,
    ),
    "phone_numbers_deactivate": (
        "Deactivate a phone number",
        """
        Makes the number `inactive`: new messages to it are refused with 409 `recipient_inactive`, for every client. A
        provider's receipt that the number is invalid does the same. `reason` is recorded.
        """,
    ),
    "suppressions_list": (
        "List suppressions",
        """
        Returns the opt-outs that concern your sender numbers, newest first, except those made by other clients. Staff
        users see all.
        """,
    ),
    "suppressions_create": (
        "Suppress a number",
        """
        Stops all messages to a number, from one of your senders or, if `sender` is null, from every sender. New
        messages are refused with 409 `recipient_opted_out`; messages that wait fail with the same code when they are
        due.

        For an opt-out by phone, e-mail, web form, letter or in person, say by `source` how the person said so, by
        `requested_at` when, and by `note` what is worth knowing later. Each source has a suppression of its own.

        Returns 201, or 200 with the existing suppression if you have made the same one before. A `sender` of another
        client is a 400 with `sender_not_allowed`.
        """,
    ),
    "suppressions_retrieve": (
        "Read a suppression",
        """
        Returns one suppression. `source` says where it came from: a keyword such as STOP, a provider, a client of the
        API, or staff; or how the person said so, such as `phone`, `letter` or `text` for a text without a keyword.
        """,
    ),
    "suppressions_destroy": (
        "Lift a suppression",
        """
        Deletes a suppression that you made, or one for a sender number of yours. Other suppressions of the same number
        stay in force.

        403 if it also protects the person from other clients. Only staff can lift such a suppression.
        """,
    ),
    "opt_out_cases_list": (
        "List opt-out cases",
        """
        Returns texts to you that are no keyword and probably ask for no more messages, such as "please stop texting
        me". Nothing is suppressed until you decide. The earliest deadline, ten business days after the text, is first.
        """,
    ),
    "opt_out_cases_retrieve": ("Read an opt-out case", "Returns one case, with the person's words as evidence."),
    "opt_out_cases_suppress": (
        "Suppress the number of a case",
        """
        Decides that the text was an opt-out, and stops all messages to the number from the `senders` of the case. 409
        `case_already_decided` if someone has decided it already.
        """,
    ),
    "opt_out_cases_dismiss": (
        "Decide that a text is no opt-out",
        """
        Closes the case without a suppression; `note` says why. 409 `case_already_decided` if someone has decided it
        already.
        """,
    ),
}
