"""Configurations shipped with the program: `<name>.json` in this folder is the preset of a vendor's API."""

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from providers.contract.config_types import is_reference
from providers.errors import ConfigError

FOLDER = Path(__file__).parent

VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
Words = Annotated[str, StringConstraints(min_length=1)]


class Preset(BaseModel):
    """One file. `docs` begins with a line for the list, and says which page of the vendor it follows and what it cannot do.

    `variables` are the environment variables that `config` names, each with its meaning. `example` is a `--config` that makes
    `config` complete: the values that every account has its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    docs: Words
    backend: Words
    config: dict[str, Any]
    variables: Mapping[VariableName, Words] = Field(default_factory=dict)
    example: dict[str, Any] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.docs.splitlines()[0]


def names() -> Sequence[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> Preset:
    """Raises `ConfigError` for an unknown name."""
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise ConfigError(f"there is no preset {name!r}; {hint}")
    return Preset.model_validate_json((FOLDER / f"{name}.json").read_bytes())


def merge(base: Any, over: Any) -> Any:
    """`over` on top of `base`: objects are merged key by key, any other value replaces the former one.

    `null` is a value like any other: in a configuration it has a meaning (`message_id`). A reference to the environment and an
    object of another `type` replace as a whole, because their keys belong together.
    """
    if not (_is_open(base) and _is_open(over)) or over.get("type", base.get("type")) != base.get("type"):
        return over
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}


def _is_open(value: Any) -> bool:
    return isinstance(value, dict) and not is_reference(value)


def as_json(preset: Preset) -> dict[str, Any]:
    return json.loads(preset.model_dump_json())  # type: ignore[no-any-return]  # an object, as the model is one
