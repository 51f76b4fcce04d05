"""Reads the JSON, forms and XML of providers' callbacks and responses. Accepts any bytes, and raises only `ValueError`.

Whatever its form, a body becomes mappings, lists and scalars, so that one kind of path reads them all.
"""

import codecs
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import parse_qs
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree

MAX_ID_LENGTH = 128
MAX_CODE_LENGTH = 64
MAX_FORM_FIELDS = 1000
MAX_DEPTH = 64
# What some providers write instead of an id where they refuse a message with a status of 2xx.
NO_ID = frozenset({"none", "null", "nil", "undefined"})
# In a path: every entry of a list.
EVERY = "*"
# The text of an XML element that has attributes or children too.
XML_TEXT = "#text"

FORM_TYPE = "application/x-www-form-urlencoded"

_BRACKET = re.compile(r"[\[\]{}]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def read_content(body: bytes, content_type: str) -> Any:
    """The content of a body by its own content type and charset; without a type that says it, by its first character.

    That is also how JSON is found in a body labelled as a form, which is the label that some HTTP clients set by themselves. A
    body that cannot be read in the charset of its label is read as UTF-8.
    """
    kind, charset = _kind_and_charset(content_type)
    if charset is None:
        return _content(body, kind)
    try:
        return _content(body, kind, charset)
    except ValueError:
        return _content(body, kind)


@lru_cache(maxsize=128)
def _kind_and_charset(content_type: str) -> tuple[str, str | None]:
    header = Message()
    header["content-type"] = content_type
    kind, charset = header.get_content_type() if content_type else "", header.get_param("charset")
    return kind, charset if isinstance(charset, str) else None


def _content(body: bytes, kind: str, encoding: str | None = None) -> Any:
    start = body.lstrip()[:1]
    if kind.endswith(("/json", "+json")):
        return read_json(body, encoding)
    if kind.endswith(("/xml", "+xml")):
        return read_xml(body, encoding)
    if start in {b"{", b"["}:
        return read_json(body, encoding)
    if kind != FORM_TYPE and start == b"<":
        return read_xml(body, encoding)
    return one_value(read_form(body, encoding, errors="surrogateescape"))


def is_json(body: bytes) -> bool:
    """Whether `read_content` reads an object or a list of JSON."""
    return body.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in {b"{", b"["}


def read_json(body: bytes, encoding: str | None = None) -> Any:
    text = _decoded(body, encoding or "utf-8-sig")
    if is_nested_too_deeply(text):
        raise ValueError("nested too deeply")
    return json.loads(text, parse_constant=_refuse_constant)


def is_nested_too_deeply(text: str) -> bool:
    """Whether JSON has more levels than any provider's. Ask before parsing: an overflow of the parser's stack does harm."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def read_form(body: bytes, encoding: str | None = None, *, errors: str = "strict") -> dict[str, list[str]]:
    """Every field with all of its values, in the order of the body.

    With `errors="surrogateescape"` a value that is no text in its charset becomes one that is neither a scalar nor storable.
    """
    charset = encoding or "utf-8"
    text = _decoded(body, charset)
    return parse_qs(
        text, keep_blank_values=True, encoding=charset, errors=errors, max_num_fields=MAX_FORM_FIELDS, separator="&"
    )


def one_value(form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A field is its value, or the list of its values if it is repeated."""
    return {name: values[0] if len(values) == 1 else list(values) for name, values in form.items()}


def read_object(body: bytes, *, form: bool) -> Mapping[str, Any]:
    """The fields of a body by name."""
    content = one_value(read_form(body)) if form else read_json(body)
    if not isinstance(content, dict):
        raise ValueError("not an object")  # noqa: TRY004 (callers catch one class)
    return content


def read_xml(body: bytes, encoding: str | None = None) -> dict[str, Any]:
    """The root by its name: a text, or a mapping of its children, with attributes as `@name` and namespaces dropped."""
    try:
        root = ElementTree.fromstring(_decoded(body, encoding) if encoding else body)
        return {_local_name(root): _element(root)}
    except ParseError:
        raise ValueError("not XML") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _element(element: Element) -> Any:
    children: dict[str, list[Any]] = {}
    for child in element:
        children.setdefault(_local_name(child), []).append(_element(child))
    text = (element.text or "").strip()
    if not children and not element.attrib:
        return text
    content: dict[str, Any] = {f"@{name}": value for name, value in element.attrib.items()}
    content.update((name, values[0] if len(values) == 1 else values) for name, values in children.items())
    return {**content, XML_TEXT: text} if text else content


def _local_name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _decoded(body: bytes, encoding: str) -> str:
    try:
        return body.decode(encoding)
    except LookupError:
        raise ValueError("an unknown charset") from None


def at_path(content: Any, path: str) -> Any:
    """The first value at a path, None without one. See `values_at`."""
    return next(values_at(content, path), None)


def values_at(content: Any, path: str) -> Iterator[Any]:
    """The values at a dotted path, in which numbers are list indexes and `*` is every entry. A key with the dots wins."""
    if isinstance(content, Mapping) and path in content:
        yield content[path]
        return
    step, _, rest = path.partition(".")
    for value in _step(content, step):
        if rest:
            yield from values_at(value, rest)
        else:
            yield value


def _step(content: Any, step: str) -> Iterator[Any]:
    if isinstance(content, Mapping):
        if step in content:
            yield content[step]
    elif isinstance(content, list):
        if step == EVERY:
            yield from content
        elif step.isascii() and step.isdigit() and int(step[:9]) < len(content):
            yield content[int(step[:9])]


def scalar(value: Any) -> str:
    """A text or integer as a stripped text; "" for any other value, and for a text that cannot be stored."""
    if isinstance(value, Mapping):
        value = value.get(XML_TEXT)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip()
    return text if text.isprintable() else ""


def word(value: Any) -> str:
    """As `scalar`, and for `true`, `false` and fractions too: what a status may be."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else scalar(value)


def identifier(value: Any) -> str:
    """The id that a provider gave: at most 128 characters. "" without one, also for the text "None" or "null"."""
    text = scalar(value)
    return "" if len(text) > MAX_ID_LENGTH or text.lower() in NO_ID else text


def storable_text(value: Any) -> str | None:
    """The text, if it can be stored: without NUL and lone surrogates. None for any other value."""
    if isinstance(value, Mapping):
        value = value.get(XML_TEXT)
    if not isinstance(value, str) or "\x00" in value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
