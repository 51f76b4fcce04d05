"""Operations on message templates."""

TEMPLATE_TEXTS: dict[str, tuple[str, str]] = {
    "templates_list": (
        "List templates",
        """
        Returns your templates and those for everybody, newest first, each with its newest version. Archived ones are left
        out. Staff users see all.
        """,
    ),
    "templates_create": (
        "Create a template",
        """
        Stores a template with its version 1. `warnings` of the response are not errors: the template can be used.

        400 if a placeholder is malformed or has no sample, if the texts of two languages have different variables, or if
        a text takes more than ten segments with the samples. 409 `name_taken` if you have a template of this name.
        Only staff can set `shared`.
        """,
    ),
    "templates_retrieve": (
        "Read a template",
        """
        Returns a template with its newest version, also if it is archived.
        """,
    ),
    "templates_partial_update": (
        "Save a new version",
        """
        Stores a new version with the fields that are sent, and all others as in the newest one. Versions never change, and
        messages keep the one that they used. New messages use the new one at once, or within two seconds in other
        processes.

        `version` is the number that the change is based on. 409 `template_changed` if another version has been saved
        since then, or the template is archived: nothing is stored. A template for everybody is changed by staff only.
        """,
    ),
    "templates_destroy": (
        "Archive a template",
        """
        New messages cannot use the template any more. Its versions stay readable, as messages name them, and its name can
        be used again.
        """,
    ),
    "templates_versions": (
        "List the versions of a template",
        """
        Returns all versions, newest first, with who saved them and when.
        """,
    ),
    "templates_preview": (
        "Preview a template",
        """
        Returns the text as it would be sent, its encoding and segments. A variable that is not in `variables` has its
        sample. Nothing is stored or sent.
        """,
    ),
}
