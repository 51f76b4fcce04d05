"""Which kinds of sender a country takes, from `sender_rules.toml`. Everything is checked when it is read."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from providers.senders import SenderKind

_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_KEYS = {"id", "takes", "source"}
_PLURALS = {SenderKind.NUMBER: "numbers", SenderKind.SHORT_CODE: "short codes", SenderKind.NAME: "names"}


class InvalidSenderRule(ValueError):
    """The text can be shown to users."""


@dataclass(frozen=True, slots=True)
class SenderRule:
    """`country` has two letters."""

    country: str
    takes: frozenset[SenderKind]
    source: str = ""


def shipped() -> list[SenderRule]:
    """The rows of the file. Raises `InvalidSenderRule` for one that is not exactly as it has to be."""
    return parse(tomllib.loads(files(__package__).joinpath("sender_rules.toml").read_text("utf-8")))


def parse(document: Mapping[str, Any]) -> list[SenderRule]:  # Any: TOML has values of several types
    if set(document) != {"country"}:
        raise InvalidSenderRule("The file has tables named country, and nothing else.")
    found = [_rule(row) for row in document["country"]]
    if len({each.country for each in found}) < len(found):
        raise InvalidSenderRule("A country has two rows.")
    return found


def _rule(row: Mapping[str, Any]) -> SenderRule:
    name = str(row.get("id"))
    if row.keys() != _KEYS:
        raise InvalidSenderRule(f"{name}: a row has id, takes and source.")
    kinds = {kind.value for kind in SenderKind}
    if not isinstance(row["takes"], list) or not set(row["takes"]) <= kinds:
        raise InvalidSenderRule(f"{name}: takes is a list of {', '.join(sorted(kinds))}.")
    rule = SenderRule(name, frozenset(SenderKind(word) for word in row["takes"]), str(row["source"]))
    check(rule)
    return rule


def check(rule: SenderRule) -> None:
    """Raises `InvalidSenderRule` for a rule that cannot be meant."""
    if not _COUNTRY.fullmatch(rule.country):
        raise InvalidSenderRule("A country has two capital letters, such as US.")
    if not rule.takes:
        raise InvalidSenderRule("A country takes at least one kind of sender.")
    if rule.takes == set(SenderKind):
        raise InvalidSenderRule("A country without a rule takes every kind; remove the rule instead.")


def in_words(kind: SenderKind) -> str:
    """The plural, such as `names`."""
    return _PLURALS[kind]
