"""README's table of environment variables is complete."""

import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
READ_BY_SETTINGS = re.compile(r"\benv\.\w+\(\s*\"([A-Z][A-Z0-9_]*)\"")
READ_BY_RUN = re.compile(r"\bos\.environ(?:\.get\(|\[)\s*\"([A-Z][A-Z0-9_]*)\"")
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \|", re.MULTILINE)


def variables_read() -> set[str]:
    found = set(READ_BY_SETTINGS.findall((ROOT / "config/settings.py").read_text()))
    for file in (ROOT / "config").rglob("*.py"):
        found |= set(READ_BY_RUN.findall(file.read_text()))
    return found - {"DJANGO_SETTINGS_MODULE"}


def test_the_table_has_exactly_the_variables_that_are_read() -> None:
    rows = ROW.findall((ROOT / "README.md").read_text())

    assert len(rows) == len(set(rows))
    assert set(rows) == variables_read()
    assert {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "PUBLIC_URL"} <= set(rows)
