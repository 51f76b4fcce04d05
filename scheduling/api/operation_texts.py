"""Summaries and descriptions of the schedule operations; see `messaging.api.operation_texts`."""

SCHEDULING_TEXTS: dict[str, tuple[str, str]] = {
    "schedules_list": (
        "List schedules",
        """
        Returns your schedules, newest first, each with its messages counted by status. Staff users see all. `run_after`
        and `run_before` match the next run and past runs. `include=messages` adds the 10 newest messages of each
        schedule.
        """,
    ),
    "schedules_create": (
        "Create a schedule",
        """
        Sends a text to a list of recipients at `run_at`, and again by `recurrence`. The text may contain variables such
        as `{name}`; each recipient brings the values. Leave `recipients` out to add them afterwards, for instance from
        a CSV file.

        Everything is checked before anything is stored, and one invalid recipient fails the request. Codes in a 400
        include `in_the_past`, `time_missing`, `unknown_time_zone`, `never_fires`, `unknown_calendar` (of `holidays`),
        `invalid_template`, `unknown_queue`, `sender_not_allowed` and, for `recipients.<position>`, `invalid_number`,
        `country_missing` (give `default_country`, in the body or in the query) and `several_numbers`.
        """,
    ),
    "schedules_retrieve": (
        "Read a schedule",
        """
        Returns one schedule with its next run and its messages counted by status. `include=messages` adds its 10 newest
        messages. 503 `text_unreadable` means that the text cannot be decrypted with the present keys.
        """,
    ),
    "schedules_partial_update": (
        "Change a schedule",
        """
        Changes the fields that are sent, as long as the schedule has not run. `recipients` replaces the whole list.
        After a change of `time_zone`, a `run_at` that was given with an offset stays at the same moment, one without
        stays at the same wall time.

        After the first run, a request with only `recurrence` and `holidays` still changes the coming dates: the rule must be
        the same, dates that are over stay as they are (a new one is `in_the_past`), and a change after which no run would be
        left is `never_fires`. Everything else is 409 `schedule_already_ran` then. A schedule that is completed or canceled
        is 409 `schedule_ended`. A field that cannot be changed is a 400 with `read_only`.
        """,
    ),
    "schedules_destroy": (
        "Delete a schedule",
        """
        Deletes a schedule that has not run, with its recipients. After the first run the response is 409
        `schedule_already_ran`: cancel the schedule instead.
        """,
    ),
    "schedules_messages": (
        "List a schedule's messages",
        """
        Returns the messages of this schedule, newest first, with the filters and the paging of the message list.
        """,
    ),
    "schedules_runs": (
        "List a schedule's runs",
        """
        Returns the runs so far, newest first: how many messages each created, how many recipients it skipped and why,
        and whether the run was `missed` or `skipped`.
        """,
    ),
    "schedules_preview": (
        "Preview a schedule",
        """
        Returns the next `count` run times, in UTC and in the schedule's zone, the texts of the first recipients, and
        how many segments one run takes for all recipients. `left_out` lists what does not run before the last of these
        times, by EXDATE or as a holiday; `notes` tells what is odd, such as an EXDATE that matches no run.
        """,
    ),
    "schedules_pause": (
        "Pause a schedule",
        """
        Starts no further runs. A run that is being expanded into messages continues. Pausing a paused schedule changes
        nothing. The request takes no body.

        409 `schedule_ended` for a schedule that is completed or canceled.
        """,
    ),
    "schedules_resume": (
        "Resume a schedule",
        """
        Starts runs again. A run that was due during the pause is sent late, or recorded as `missed` if it is too late.
        The request takes no body.

        409 `schedule_ended` for a schedule that is completed or canceled, 409 `list_not_saved` for one whose first list
        waits in the console for a decision.
        """,
    ),
    "schedules_cancel": (
        "Cancel a schedule",
        """
        Ends the schedule and cancels its unsent messages. `canceled` in the response is their number. A message that is
        being sent is not counted: it is canceled only if the provider does not accept it. The request takes no body.

        409 `schedule_ended` if the schedule has ended and none of its messages wait.
        """,
    ),
    "schedules_recipients": (
        "Add recipients to a schedule",
        """
        Adds recipients from a JSON list, or from a CSV file in the multipart field `file`. The column `to` has the
        numbers, or the one that is called as in other programs (`phone`, `Mobile Phone`, `Phone 1 - Value`), or the one
        that `to_column` names; the others are variables (`First Name` is `{First_Name}`). Numbers without a plus need
        `default_country`, in the query or in a JSON object. `dry_run=true` checks the list and stores nothing.

        Valid rows are added and invalid ones reported in `errors`, so check `rejected`. `notes` tells what was decided
        for you: columns that are not used (`columns_ignored`), and cells with several numbers (`several_numbers`). A
        number that is on the list already counts as a duplicate, so the same file can be sent again. With `report=csv`
        the response is a CSV file of the rejected rows.

        Recipients added after the first run of a recurring schedule get the next runs. 409 `schedule_ended` for a
        schedule that is completed or canceled. A file that cannot be read to its end is a 400, and none is added.
        `too_many_bad_rows`: reading stops when 10,000 more rows are refused than good; the last of `errors` says so, or
        a 400 if none was good.
        """,
    ),
    "phone_numbers_export": (
        "Export everything that is kept of a person",
        """
        Returns a JSON object with a list for each kind of row that has the number: its messages in both directions with
        their history, attempts, media, webhooks and callbacks, suppressions, opt-out cases, lists of schedules, and what
        else an erasure would remove. Names of staff and clients, secrets, and callbacks that may be about several
        people are not in it. The export is recorded in the audit log.

        For staff only, because it has the messages of all clients and their texts. The object is sent while it is read;
        one that is cut off is no JSON.
        """,
    ),
}
