"""Why a start ends early."""


class StartError(Exception):
    """Something the person at the terminal has to change; the text is one line that says what."""


class StopAsked(Exception):
    """A signal came while things were still being started."""
