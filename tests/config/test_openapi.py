"""The OpenAPI document matches the API."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.management.commands.spectacular import SchemaGenerationError

from config.openapi import TEXTS
from messaging import states
from messaging.models import DeliveryAttempt, PhoneNumber
from messaging.segments import Encoding
from tests.messaging.api.conftest import PROBLEM_KEYS


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as `manage.py spectacular` generates it; fails for a warning or an invalid document."""
    out = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", stdout=out)
    return json.loads(out.getvalue())


def resolve(document: dict, schema: dict) -> dict:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def message_schema(document: dict) -> dict:
    content = document["paths"]["/api/v1/messages/{id}/"]["get"]["responses"]["200"]["content"]
    return resolve(document, content["application/json"]["schema"])


def enum_of(document: dict, schema: dict) -> list[str]:
    parts = [schema, *schema.get("allOf", []), *schema.get("oneOf", [])]
    [words] = [found["enum"] for part in parts if "enum" in (found := resolve(document, part))]
    return sorted(words)


def test_this_document_is_served(client: Client, document) -> None:
    response = client.get("/api/schema/")

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/vnd.oai.openapi+json")
    assert response.json() == document


def test_it_is_openapi_3_1(document) -> None:
    assert document["openapi"].startswith("3.1")


@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/"])
def test_reading_it_needs_no_token(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_the_pages_files_are_served_by_us(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()

    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    assert not [address for address in addresses if address.startswith(("http", "//"))]


def api_paths(patterns: list, prefix: str = "/") -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found |= api_paths(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path.startswith("/api/v1/"):
            found.add(re.sub(r"<(?:\w+:)?(\w+)>", "{}", path))
    return found


def test_every_address_of_the_api_is_documented(document) -> None:
    documented = {re.sub(r"\{\w+\}", "{}", path) for path in document["paths"]}

    assert api_paths(get_resolver().url_patterns) == documented


def operations(document: dict) -> list[tuple[str, str, dict]]:
    return [(path, method, each) for path, methods in document["paths"].items() for method, each in methods.items()]


def test_every_operation_names_its_problems_and_its_authentication(document) -> None:
    for path, method, operation in operations(document):
        problems = {"400", "401", "403", "404", "405", "406", "429", "500", "503"}
        problems |= set() if method == "get" else {"409", "413", "415", "422"}
        assert problems <= set(operation["responses"]), (method, path)
        for status in problems:
            content = operation["responses"][status]["content"]
            assert set(content) == {"application/problem+json"}, (method, path, status)
            schema = resolve(document, content["application/problem+json"]["schema"])
            assert set(schema["properties"]) == {*PROBLEM_KEYS, "errors"}
            assert set(schema["required"]) == PROBLEM_KEYS
        assert operation["summary"], (method, path)
        assert "security" in operation or "/webhooks/" in path or path.endswith("/supabase/"), (method, path)


def test_operation_ids_are_unique_and_those_that_have_a_text(document) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]

    assert len(ids) == len(set(ids))
    assert set(ids) == set(TEXTS)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", each) for each in ids)


def docstrings() -> set[str]:
    """Return the docstrings of all our modules, classes and functions, one line each."""
    found = set()
    for package in ("config", "console", "media_store", "messaging", "providers", "scheduling"):
        for path in (settings.BASE_DIR / package).rglob("*.py"):
            tree = ast.parse(path.read_text())
            documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            texts = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented)]
            found |= {one_line(text) for text in texts if text}
    return found


def one_line(text: str) -> str:
    return " ".join(text.split())


def descriptions(node: Any) -> Iterator[str]:
    """Return every description in the document."""
    if isinstance(node, dict):
        if isinstance(node.get("description"), str):
            yield node["description"]
        for child in node.values():
            yield from descriptions(child)
    elif isinstance(node, list):
        for child in node:
            yield from descriptions(child)


def test_every_operation_has_a_summary_and_a_description_of_its_own(document) -> None:
    summaries = Counter(operation.get("summary") for _, _, operation in operations(document))
    # Without the sentence on the permission, which is added to all.
    texts = Counter(one_line(text) for _, text in TEXTS.values())

    for path, method, operation in operations(document):
        assert len(operation["summary"]) <= 50, (method, path)
        assert not operation["summary"].endswith("."), (method, path)
        assert one_line(TEXTS[operation["operationId"]][1]) in one_line(operation["description"]), (method, path)
    assert [summary for summary, count in summaries.items() if count > 1 or not summary] == []
    assert [text for text, count in texts.items() if count > 1 or not text] == []


def test_no_description_is_a_docstring_of_the_code(document) -> None:
    internal = docstrings()

    assert internal
    assert [text for text in descriptions(document) if one_line(text) in internal] == []


def test_every_operation_names_the_permission_that_its_view_asks_for(document) -> None:
    described = {operation["operationId"]: operation["description"] for _, _, operation in operations(document)}
    without = {name for name, text in described.items() if "Required permission" not in text}

    webhooks = {"webhooks_status", "webhooks_status_get", "webhooks_inbound", "webhooks_inbound_get"}
    assert without == {"auth_token_create", "auth_logout_create", "integrations_supabase_create"} | webhooks
    assert described["messages_create"].endswith("\n\nRequired permission: `messaging.add_message`.")
    assert described["messages_media_create"].endswith(
        "\n\nRequired permissions: `messaging.change_message` and `media_store.add_mediaasset`."
    )


def test_every_operation_has_one_tag_that_is_described(document) -> None:
    tags = [tag["name"] for tag in document["tags"]]

    assert all(tag["description"] for tag in document["tags"])
    assert all(len(operation["tags"]) == 1 for _, _, operation in operations(document))
    assert {operation["tags"][0] for _, _, operation in operations(document)} == set(tags)


def test_an_operation_without_a_text_fails_the_build_of_the_document(monkeypatch) -> None:
    monkeypatch.delitem(TEXTS, "messages_list")

    with pytest.raises(SchemaGenerationError):
        call_command("spectacular", "--fail-on-warn", stdout=StringIO(), stderr=StringIO())


def test_the_enumerations_are_those_of_the_program(document) -> None:
    properties = message_schema(document)["properties"]
    attempts = document["paths"]["/api/v1/messages/{id}/attempts/"]["get"]["responses"]["200"]["content"]
    attempt = resolve(document, resolve(document, attempts["application/json"]["schema"])["items"])
    number = document["paths"]["/api/v1/phone-numbers/{number}/"]["get"]["responses"]["200"]["content"]
    number = resolve(document, number["application/json"]["schema"])

    assert enum_of(document, properties["status"]) == sorted(states.Status)
    assert enum_of(document, properties["direction"]) == sorted(states.Direction)
    assert enum_of(document, properties["encoding"]) == sorted(Encoding)
    assert enum_of(document, attempt["properties"]["outcome"]) == sorted(DeliveryAttempt.Outcome.values)
    assert enum_of(document, number["properties"]["status"]) == sorted(PhoneNumber.Status.values)


def test_what_a_message_always_has_is_required(document) -> None:
    schema = message_schema(document)

    assert set(schema["properties"]) - set(schema["required"]) == {"received_at"}


def test_a_new_message_needs_a_number_and_a_text(document) -> None:
    body = document["paths"]["/api/v1/messages/"]["post"]["requestBody"]["content"]["application/json"]
    schema = resolve(document, body["schema"])

    assert schema["required"] == ["to"]
    assert set(schema["properties"]) == {
        *("to", "message", "from", "queue", "send_at", "valid_for", "reference", "media", "callback_url"),
        *("category", "parameters", "template", "variables", "language", "smart_encoding"),
    }
    assert set(body["examples"])


def test_the_filters_of_the_list_are_those_of_the_contract(document) -> None:
    names = {
        each["name"] for each in document["paths"]["/api/v1/messages/"]["get"]["parameters"] if each["in"] == "query"
    }

    assert names == {
        *("from", "to", "status", "direction", "queue", "provider", "schedule", "reference", "created_after"),
        *("created_before", "search", "limit", "offset", "ordering", "cursor"),
    }


@pytest.mark.parametrize(("path", "maximum"), [("messages", 10_000), ("phone-numbers", 10_000_000)])
def test_the_largest_offset_is_documented(document, path: str, maximum: int) -> None:
    [offset] = [
        each["schema"]
        for each in document["paths"][f"/api/v1/{path}/"]["get"]["parameters"]
        if each["name"] == "offset"
    ]

    assert offset["maximum"] == maximum
