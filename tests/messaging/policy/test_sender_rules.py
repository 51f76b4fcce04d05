"""The shipped rules of senders, and what cannot be one."""

from typing import Any

import pytest

from messaging.policy import sender_rules
from messaging.policy.sender_rules import InvalidSenderRule, shipped
from providers.senders import SenderKind, kind_of

ROW = {"id": "US", "takes": ["number"], "source": "somewhere"}


def test_north_america_takes_no_names() -> None:
    numbers = {SenderKind.NUMBER, SenderKind.SHORT_CODE}

    assert {rule.country: rule.takes for rule in shipped()} == dict.fromkeys(("US", "CA", "PR"), numbers)
    assert all(len(rule.source) > 20 for rule in shipped())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": "USA"}, "two capital"),
        ({"id": "us"}, "two capital"),
        ({"takes": []}, "at least one"),
        ({"takes": ["number", "short_code", "name"]}, "takes every kind"),
        ({"takes": ["numbers"]}, "takes is a list"),
        ({"takes": "number"}, "takes is a list"),
        ({"since": "2026"}, "a row has"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSenderRule, match=problem):
        sender_rules.parse({"country": [ROW | changes]})


def test_a_file_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(InvalidSenderRule, match="two rows"):
        sender_rules.parse({"country": [ROW, ROW]})
    with pytest.raises(InvalidSenderRule, match="nothing else"):
        sender_rules.parse({"country": [ROW], "rule": []})


@pytest.mark.parametrize(
    ("sender", "kind"),
    [("+14155550101", "number"), ("12345", "short_code"), ("123", "short_code"), ("ACME", "name"), ("4YOU", "name")],
)
def test_kinds(sender: str, kind: str) -> None:
    assert kind_of(sender) == kind
