"""The documents name files and headings that exist, and the index of decisions is complete."""

import re
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
DECISIONS = ROOT / "docs" / "decisions"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
INDEX_ROW = re.compile(r"^\| (\d+) \| \[(.+)\]\((.+)\) \| ([\d-]+) \| (.+) \|$", re.MULTILINE)
HEAD = re.compile(r"# (\d+)\. (.+)\n\nStatus: (.+)\nDate: (\d{4}-\d\d-\d\d)\n\n")


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    missing = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)

    assert missing == []


def test_the_index_of_decisions_has_each_with_its_title_date_and_status() -> None:
    indexed = INDEX_ROW.findall((DECISIONS / "README.md").read_text())

    records = []
    for file in sorted(DECISIONS.glob("0*.md")):
        number, title, status, date = HEAD.match(file.read_text()).groups()
        assert file.name.startswith(f"{int(number):04}-")
        records.append((number, title, file.name, date, status))
    assert indexed == records
