"""Masks what staff must not read in a recorded call: secrets, phone numbers, and the text of the message.

Masking searches for known values in every form in which a request can carry them. Secrets are replaced by the name of their
environment variable, so that a wrong variable in the right place can be seen.
"""

import base64
import html
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from providers.contract.config_types import SECRET_NAME, is_reference
from providers.contract.messages import OutboundMessage

HIDDEN = "••••••"
SHORTEST_SECRET = 4
# Part of a text that a provider repeats, cut or changed, is found by so many of its characters in a row.
FRAGMENT = 12
TEXT, MEDIA, TOKEN = "<text>", "<media>", "<token>"
SHOWN_DIGITS, MATCHED_DIGITS = 4, 7
MAX_ESCAPES = 2
ENCODINGS = ("utf-8", "latin-1", "utf-16-be")

_NAME = rf"[\w.-]*(?:{SECRET_NAME.pattern})[\w.-]*"
# Values with a telling name: `"access_token": "…"`, `?token=…` (also encoded once more), `<token>…</token>`.
_NAMED = (
    (re.compile(rf'("{_NAME}"\s*:\s*)"(?!<)(?:[^"\\]|\\.)*"', re.IGNORECASE), rf'\1"{HIDDEN}"'),
    (
        re.compile(rf"((?:^|[?&]|%3F|%26){_NAME}(?:=|%3D))(?!<|%3C)(?:(?!%26)[^\s&\"'<>])+", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
    (re.compile(rf"(<{_NAME}>)(?!<)[^<]+(?=</)", re.IGNORECASE), rf"\1{HIDDEN}"),
)
_URL_SAFE = str.maketrans("+/", "-_")
_ONLY_A_VARIABLE = re.compile(r"(?:[A-Za-z]{1,20} )?<\w+>")
_CODE = re.compile(r"(?=\w*\d)\w{4,}")
# The escapes of forms and queries, of JSON and of XML.
_ESCAPE = re.compile(
    r"%([0-9a-f]{2})"
    r'|(\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\u[0-9a-f]{4}|\\["\\/bfnrt])'
    r"|(&\w+;|&#\w+;)|(.)",
    re.IGNORECASE | re.DOTALL,
)

Span = tuple[int, int]


def secrets_of(config: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The values that a stored configuration takes from the environment, by the names of their variables."""
    return {name: environ[name] for name in _variables(config) if len(environ.get(name, "")) >= SHORTEST_SECRET}


class Mask:
    """Masks the secrets of an account and the private values of one message. `hides_text` is False for a test of staff.

    `private` are further values that carry the text, as they are written.
    """

    def __init__(
        self,
        secrets: Mapping[str, str],
        message: OutboundMessage | None = None,
        *,
        hides_text: bool = True,
        private: Iterable[str] = (),
    ) -> None:
        known = {form: f"<{name}>" for name, value in secrets.items() for form in _forms_of_secret(value)}
        if hides_text:
            known |= dict.fromkeys(private, TEXT)
        self._text = message.text if message is not None and hides_text else ""
        self._number: re.Pattern[str] | None = None
        self._shown_number = ""
        if message is not None:
            known |= dict.fromkeys(_forms((message.callback_url or "").partition("?")[2]), TOKEN)
            known |= {form: MEDIA for url in message.media_urls for form in _forms(url)}
            self._number = _pattern_of_number(message.to)
            self._shown_number = f"…{message.to[-SHOWN_DIGITS:]}"
        longest_first = sorted((form for form in known if len(form) >= SHORTEST_SECRET), key=len, reverse=True)
        self._known = {form: known[form] for form in longest_first}

    def __call__(self, content: str) -> str:
        labels = [""] * len(content)
        for layer in _layers(content):
            for span, label in self._found(layer.text):
                start, end = layer.place(span)
                labels[start:end] = [each or label for each in labels[start:end]]
        groups = itertools.groupby(zip(content, labels, strict=True), key=lambda each: each[1])
        masked = "".join(label or "".join(character for character, _ in group) for label, group in groups)
        for pattern, replacement in _NAMED:
            masked = pattern.sub(replacement, masked)
        return masked

    def _found(self, text: str) -> Iterator[tuple[Span, str]]:
        for form, label in self._known.items():
            yield from ((span, label) for span in _occurrences(text, form))
        if self._text.strip():
            yield from ((span, TEXT) for span in _parts_of_text(text, self._text))
        if self._number is not None:
            yield from ((found.span(), self._shown_number) for found in self._number.finditer(text))

    def header(self, name: str, value: str) -> str:
        masked = self(value)
        return HIDDEN if SECRET_NAME.search(name) and not _ONLY_A_VARIABLE.fullmatch(masked) else masked


@dataclass(frozen=True, slots=True)
class _Layer:
    """A content with some of its escapes undone, as bytes: each character of `text` is one. `spans` are their places in it."""

    text: str
    spans: Sequence[Span]

    def place(self, span: Span) -> Span:
        return self.spans[span[0]][0], self.spans[span[1] - 1][1]


def _layers(content: str) -> Iterator[_Layer]:
    """The content as it is, and with its escapes undone once and twice: JSON in a form, a form in a form."""
    pieces = [(_bytes_of(character, "utf-8"), (at, at + 1)) for at, character in enumerate(content)]
    layer = _layer(pieces)
    yield layer
    for _ in range(MAX_ESCAPES):
        found = _ESCAPE.finditer(layer.text)
        inner = _layer([(_unescaped(each), layer.place(each.span())) for each in found])
        if inner.text == layer.text:
            return
        layer = inner
        yield layer


def _layer(pieces: Iterable[tuple[str, Span]]) -> _Layer:
    text, spans = [], []
    for piece, span in pieces:
        text.append(piece)
        spans += [span] * len(piece)
    return _Layer("".join(text), spans)


def _unescaped(found: re.Match[str]) -> str:
    percent, in_json, in_xml, plain = found.groups()
    if plain:
        return str(plain)
    return chr(int(percent, 16)) if percent else _bytes_of(_character(in_json, in_xml), "utf-8")


def _character(in_json: str | None, in_xml: str | None) -> str:
    return str(json.loads(f'"{in_json}"')) if in_json else html.unescape(in_xml or "")


def _bytes_of(text: str, encoding: str) -> str:
    """The encoded text, each byte as one character; "" for a text that has no such encoding."""
    try:
        return text.encode(encoding).decode("latin-1")
    except UnicodeEncodeError:
        return text if encoding == "utf-8" else ""


def _variables(value: Any) -> Iterator[str]:
    if is_reference(value):
        yield str(value["env"])
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _variables(item)
    elif isinstance(value, list):
        for item in value:
            yield from _variables(item)


def _forms(value: str) -> Iterator[str]:
    """The value as a layer of any request has it: in several charsets, in hexadecimal and in base64."""
    for encoding in ENCODINGS:
        encoded = _bytes_of(value, encoding)
        yield encoded
        yield encoded.replace(" ", "+")
        yield encoded.encode("latin-1", "replace").hex()
        yield encoded.encode("latin-1", "replace").hex().upper()
        yield from _base64_cores(encoded.encode("latin-1", "replace"))


def _base64_cores(value: bytes) -> Iterator[str]:
    """What base64 makes of the value, wherever in the encoded bytes it stands: behind `user:`, for example."""
    for before, start in ((0, 0), (1, 2), (2, 3)):
        end = (before + len(value)) * 8 // 6
        core = base64.b64encode(bytes(before) + value).decode()[start:end]
        yield core
        yield core.translate(_URL_SAFE)


def _forms_of_secret(value: str) -> Iterator[str]:
    yield from _forms(value)
    if value.lower().startswith(("http://", "https://")):
        # A client writes an address in its own way, with the host in lower case.
        parts = urlsplit(value)
        for part in (parts.path, parts.query):
            yield from _forms(part if len(part.strip("/")) >= SHORTEST_SECRET else "")


def _parts_of_text(content: str, text: str) -> Iterator[Span]:
    """The text, any longer part of it, and its words with digits, which may be one-time passwords."""
    forms = {form for form in _forms(text) if form}
    fragments = {form[at : at + FRAGMENT] for form in forms for at in range(len(form) - FRAGMENT + 1)}
    for at in range(len(content) - FRAGMENT + 1):
        if content[at : at + FRAGMENT] in fragments:
            yield at, at + FRAGMENT
    codes = {form for code in _CODE.findall(text) for form in _forms(code) if len(form) >= SHORTEST_SECRET}
    for word in forms | codes if len(text) < FRAGMENT else codes:
        yield from _words(content, word)


def _words(content: str, word: str) -> Iterator[Span]:
    """Where the word stands by itself: a text may be as short as `1`."""
    pattern = rf"(?<![A-Za-z0-9_]){re.escape(word)}(?![A-Za-z0-9_])"
    return (found.span() for found in re.finditer(pattern, content))


def _occurrences(content: str, form: str) -> Iterator[Span]:
    at = content.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = content.find(form, at + len(form))


def _pattern_of_number(number: str) -> re.Pattern[str]:
    """Any notation of the number: its last digits decide, with whatever digits before them. UCS-2 has NUL between digits."""
    digits = re.sub(r"\D", "", number)[-MATCHED_DIGITS:]
    separator = r"[\0 .,/()-]{0,2}"
    return re.compile(rf"[+(]*(?:\d{separator}){{0,8}}" + separator.join(digits))
