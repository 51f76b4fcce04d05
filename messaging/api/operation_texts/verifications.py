"""Operations on verifications."""

VERIFICATION_TEXTS: dict[str, tuple[str, str]] = {
    "verifications_create": (
        "Send a code",
        """
        Sends a one-time code to a number and returns the verification that is pending until `expires_at`. The code is in
        no response, message, event or log. While a verification of the number is pending, the same code is sent again and
        the other fields have no effect; `sends` counts.

        429 with `Retry-After` and one of these codes: `resend_too_soon` within 30 seconds of the last send,
        `too_many_sends` after five, `verification_rate_limited` for a limit of the installation per number, prefix,
        `client_address` or user. 409 if the recipient is inactive or has opted out. A repeat with the same
        `Idempotency-Key` sends nothing and returns the first response.
        """,
    ),
    "verifications_retrieve": (
        "Read a verification",
        """
        Returns one verification. Once it has ended, `status` is `approved`, `canceled`, `expired` or, after five wrong
        codes, `max_attempts_reached`.
        """,
    ),
    "verifications_check": (
        "Check a code",
        """
        Compares the code that the person has repeated. `valid` is true once: for the check that approves the
        verification. A wrong code is 200 with `valid` false and the status that the verification has then; five wrong ones
        end it, and after that the right code is not valid either.

        409 `verification_ended` if it is approved already: a code is good for one check.
        """,
    ),
    "verifications_cancel": (
        "Cancel a verification",
        """
        Ends a pending verification. Its code is not valid any more, and a text with it that still waits is not sent. The
        request takes no body.

        409 `verification_ended` if it is not pending.
        """,
    ),
}
