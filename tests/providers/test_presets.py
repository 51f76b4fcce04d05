"""Presets: the files that are shipped, how a configuration is merged over one, and the commands that use them."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from providers import presets
from providers.backends import templates
from providers.contract.messages import OutboundMessage
from providers.errors import ConfigError
from providers.models import ProviderAccount
from providers.numbers import NumberFormat
from providers.presets import merge
from providers.registry import check_config

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output, stderr=output)
    return output.getvalue()


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_with_its_example_is_a_configuration_that_can_be_stored(name: str) -> None:
    preset = presets.load(name)

    check_config(preset.backend, merge(preset.config, preset.example))


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_documents_the_variables_that_it_names(name: str) -> None:
    preset = presets.load(name)
    named = re.findall(r'{"env": "(\w+)"}', json.dumps(merge(preset.config, preset.example)))

    assert set(named) == set(preset.variables)
    assert len(preset.title) < 80
    assert len(preset.docs.splitlines()) > 1


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4}, "e": 5}, {"a": 1, "b": {"c": 4, "d": 3}, "e": 5}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"message_id": "data.id"}, {"message_id": None}, {"message_id": None}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
        ({"key": {"env": "A"}}, {"key": {"env": "B"}}, {"key": {"env": "B"}}),
        ({"url": "https://a.example"}, {"url": {"env": "A"}}, {"url": {"env": "A"}}),
        ({"headers": {"X": {"env": "A"}}}, {"headers": {"Y": "1"}}, {"headers": {"X": {"env": "A"}, "Y": "1"}}),
        ({"auth": {"env": "A"}}, {"auth": {"type": "bearer"}}, {"auth": {"type": "bearer"}}),
        (
            {"auth": {"type": "basic", "username": "a"}},
            {"auth": {"type": "bearer", "token": {"env": "A"}}},
            {"auth": {"type": "bearer", "token": {"env": "A"}}},
        ),
        (
            {"auth": {"type": "basic", "username": "a", "password": {"env": "A"}}},
            {"auth": {"username": "b"}},
            {"auth": {"type": "basic", "username": "b", "password": {"env": "A"}}},
        ),
        ({"a": 1}, {}, {"a": 1}),
    ],
)
def test_a_configuration_is_merged_over_a_preset(base: Any, over: Any, expected: Any) -> None:
    before = json.dumps(base)

    assert merge(base, over) == expected
    assert json.dumps(base) == before


def test_an_account_is_made_from_a_preset_and_remembers_only_its_configuration(monkeypatch) -> None:
    monkeypatch.setenv("TELNYX_API_KEY", "key")
    monkeypatch.setenv("TELNYX_PUBLIC_KEY", "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=")
    output = run("upsert_provider", "usa", "--preset", "telnyx", "--config", '{"from_number": "+14155550100"}')

    assert output == "created usa: generic_http, weight 100, enabled\n"
    preset = presets.load("telnyx")
    account = ProviderAccount.objects.get()
    assert account.config == {**preset.config, "from_number": "+14155550100"}

    run("upsert_provider", "usa", "--weight", "7")
    run("upsert_provider", "usa", "--preset", "telnyx", "--config", '{"max_per_second": 3}')
    account.refresh_from_db()
    assert (account.weight, account.config) == (7, {**preset.config, "max_per_second": 3})


def test_a_variable_that_is_not_set_is_reported_and_the_account_is_stored(monkeypatch) -> None:
    monkeypatch.delenv("TELNYX_API_KEY", raising=False)

    output = run("upsert_provider", "usa", "--preset", "telnyx")

    assert output.splitlines() == [
        "created usa: generic_http, weight 100, enabled",
        "warning: usa cannot be used in this environment: environment variable TELNYX_API_KEY is not set",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "telnix"], "there is no preset 'telnix'; did you mean telnyx?"),
        (["--preset", "../presets/telnyx"], "there is no preset '../presets/telnyx'; known: "),
        (["--preset", "xyz"], f"there is no preset 'xyz'; known: {', '.join(presets.names())}"),
        (["--preset", "telnyx", "--config", "[]"], "config must be a JSON object"),
        (["--preset", "telnyx", "--config", '{"bogus": 1}'], "bogus: there is no such key"),
        (["--preset", "telnyx", "--config", '{"feilds": {}}'], "feilds: there is no such key; did you mean fields?"),
        (
            ["--preset", "telnyx", "--config", '{"message_id": {"text": "ID ("}}'],
            "message_id.text.text: is not a regular",
        ),
        (["--preset", "telnyx", "--backend", "twilio"], "account_sid: Field required"),
    ],
)
def test_a_bad_preset_is_one_line_and_creates_nothing(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError) as caught:
        run("upsert_provider", "usa", *arguments)

    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)
    assert not ProviderAccount.objects.exists()


def test_the_presets_are_listed_with_one_line_each() -> None:
    header, *rows = run("list_presets").splitlines()

    assert header.split() == ["name", "backend", "what", "it", "is"]
    assert [row.split()[0] for row in rows] == list(presets.names())
    assert ["telnyx", "generic_http", "Telnyx Messaging API v2."] in [row.split(maxsplit=2) for row in rows]


def test_one_preset_is_printed_with_its_documentation_and_a_command() -> None:
    page = run("list_presets", "telnyx")

    assert page.startswith("Telnyx Messaging API v2.\nFollows https://")
    assert "  TELNYX_API_KEY: an API key" in page
    command = "make manage ARGS='upsert_provider telnyx --preset telnyx --config-file -' <<'END'"
    assert f'{command}\n{{"from_number": "+14155550100"}}\nEND\n' in page


def test_presets_are_printed_as_json() -> None:
    everything = json.loads(run("list_presets", "--json"))

    assert list(everything) == list(presets.names())
    assert json.loads(run("list_presets", "telnyx", "--json")) == everything["telnyx"]
    assert everything["telnyx"]["config"] == presets.load("telnyx").config


def test_an_unknown_preset_cannot_be_printed() -> None:
    with pytest.raises(CommandError, match="there is no preset 'telnix'; did you mean telnyx"):
        run("list_presets", "telnix")
    with pytest.raises(ConfigError):
        presets.load("")


INDIA = {
    "infobip": (
        "messages.0.options.regional.indiaDlt.principalEntityId",
        "messages.0.options.regional.indiaDlt.contentTemplateId",
    ),
    "plivo": ("dlt_entity_id", "dlt_template_id"),
    "vonage": ("entity-id", "content-id"),
    "msg91": (None, "DLT_TE_ID"),
}


@pytest.mark.parametrize(("name", "paths"), INDIA.items(), ids=INDIA)
def test_indias_registrations_are_sent_where_the_vendor_takes_them(name: str, paths) -> None:
    body = presets.load(name).config["body"]
    text = OutboundMessage(to="+919812345678", text="Hi", sender="ACMEIN", reference="m-1")
    told = replace(text, parameters={"entity_id": "1101", "template_id": "1107"})

    with_them, without = (
        templates.render(
            body,
            templates.values_of(each, sender="ACMEIN", numbers=NumberFormat(), now=datetime(2026, 11, 30, tzinfo=UTC)),
        )
        for each in (told, text)
    )

    for path, value in zip(paths, ("1101", "1107"), strict=True):
        if path is not None:
            assert _at(with_them, path) == value
    assert "1101" not in json.dumps(without)
    assert "parameters." not in json.dumps(without)


def _at(content: Any, path: str) -> Any:
    for step in path.split("."):
        content = content[int(step) if step.isdigit() else step]
    return content
