"""What Twilio's OpenAPI document says of its answers, as facts of ours (`facts.json`), and a check of answers against them."""

import json
import re
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "facts.json").read_text())
TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}
RFC_2822 = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} \+0000")
ERROR_KEYS = {"code", "message", "more_info", "status"}


def assert_resource(name: str, body: dict[str, Any]) -> None:
    """All keys that Twilio documents and no other, each with a value of its type, format and pattern."""
    facts = FACTS["resources"][name]
    assert set(body) == set(facts)
    for key, fact in facts.items():
        _assert_value(f"{name}.{key}", body[key], fact)


def assert_page(key: str, resource: str, body: dict[str, Any]) -> None:
    facts = FACTS["pages"][key]
    assert set(body) == set(facts)
    for name, fact in facts.items():
        _assert_value(f"{key}.{name}", body[name], fact)
    for row in body[key]:
        assert_resource(resource, row)
    addresses = [body[name] for name in facts if name.endswith("uri") and body[name] is not None]
    assert all(address.startswith("/2010-04-01/Accounts") for address in addresses)


def assert_error(response: Any, status: int, code: int) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/json"
    body: dict[str, Any] = response.json()
    assert set(body) == ERROR_KEYS
    assert (body["status"], body["code"]) == (status, code)
    assert body["message"]
    assert body["more_info"].endswith(f"/{code}")
    return body


def _assert_value(name: str, value: Any, fact: dict[str, Any]) -> None:
    if value is None:
        # Twilio's own answers have null where an enumeration has no value.
        assert fact.get("nullable"), name
        return
    if "enum" in fact:
        assert value in fact["enum"], name
        return
    assert type(value) is TYPES[fact["type"]], name
    if "pattern" in fact:
        assert re.fullmatch(fact["pattern"], value), name
    if fact.get("format") == "date-time-rfc-2822":
        assert RFC_2822.fullmatch(value), name
        assert parsedate_to_datetime(value).tzinfo is not None
