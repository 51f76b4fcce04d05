"""Exceptions that end a start."""


class StartError(Exception):
    """The user has to change something; the text is one line that says what."""


class StopRequested(Exception):
    """A signal arrived during the start."""
