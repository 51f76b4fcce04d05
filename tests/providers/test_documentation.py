"""docs/providers.md agrees with the code."""

import json
import re
import shlex
from pathlib import Path

import pytest

from providers.backends.aws import AwsBackend
from providers.backends.generic_http import GenericHttpBackend
from providers.backends.smpp import SmppBackend
from providers.backends.twilio import TwilioBackend
from providers.contract.config_types import STORED
from providers.contract.sender import CommonConfig, Sender
from providers.simulator.__main__ import _arguments
from providers.simulator.magic_numbers import MAGIC_NUMBERS

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "providers.md").read_text()
BACKENDS: dict[str, type[Sender]] = {
    "aws": AwsBackend,
    "generic_http": GenericHttpBackend,
    "smpp": SmppBackend,
    "twilio": TwilioBackend,
}


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def keys_in_first_column(text: str) -> set[str]:
    return {
        key for cell in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE) for key in re.findall(r"`([^`]+)`", cell)
    }


def test_every_common_key_is_documented() -> None:
    assert keys_in_first_column(section("Keys of every backend")) == set(CommonConfig.model_fields)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_key_of_a_backend_is_documented(name: str) -> None:
    own = set(BACKENDS[name].Config.model_fields) - set(CommonConfig.model_fields)

    table = section(f"`{name}`").split("\n### ")[0]

    assert keys_in_first_column(table) == own


def test_every_magic_number_is_documented() -> None:
    assert re.findall(r"^\| (\+\d+) \|", section("Sandbox"), re.MULTILINE) == list(MAGIC_NUMBERS)


def test_every_option_of_the_sandbox_is_documented() -> None:
    documented = {key for key in keys_in_first_column(section("Sandbox")) if key.startswith("--")}

    options = {f"--{name.replace('_', '-')}" for name in vars(_arguments(["--port", "0"]))}

    assert documented == options


def test_every_example_is_a_configuration_that_can_be_stored() -> None:
    examples = re.findall(
        r"^make manage ARGS='(upsert_provider [^']*)' <<'END'\n(.*?)^END$", DOCUMENT, re.DOTALL | re.MULTILINE
    )
    assert len(examples) == 6

    for arguments, config in examples:
        words = shlex.split(arguments)
        assert words[words.index("--config-file") + 1] == "-"
        backend = words[words.index("--backend") + 1]
        BACKENDS[backend].Config.model_validate(json.loads(config), context=STORED)
