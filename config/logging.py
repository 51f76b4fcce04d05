"""How log lines look, and what never gets into them."""

import logging
import re

# PostgreSQL quotes the whole row that breaks a constraint, texts and numbers included, in a line (or more, if the text has
# line breaks) that begins with DETAIL.
_ROW = re.compile(
    r"DETAIL:.*?(?=\n(?:HINT|CONTEXT|QUERY|STATEMENT|Traceback|  File|The above|During handling|\n)|\Z)", re.DOTALL
)


class DiscreetFormatter(logging.Formatter):
    """A line of text; what the database quotes of its rows is left out of messages and tracebacks alike."""

    def format(self, record: logging.LogRecord) -> str:
        return _ROW.sub("DETAIL: (left out)", super().format(record))
