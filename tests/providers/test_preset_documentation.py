"""docs/presets.md agrees with the presets."""

import re
from pathlib import Path

from providers import presets

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "presets.md").read_text()
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \|", re.MULTILINE)


def test_every_preset_has_a_row_with_its_variables() -> None:
    rows = {name: set(re.findall(r"`([^`]+)`", variables)) for name, variables in ROW.findall(PAGE)}

    assert rows == {name: set(presets.load(name).variables) for name in presets.names()}


def test_a_reference_and_batches_are_told_as_they_are_configured() -> None:
    told = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \| ([^|]+) \|", PAGE, re.MULTILINE)

    mappings = {name: presets.load(name).config.get("status", {}) for name in presets.names()}
    assert {name: ("reference" in receipts, batches == "yes") for name, receipts, batches in told} == {
        name: ("reference" in status, "list" in status or "separator" in status) for name, status in mappings.items()
    }
