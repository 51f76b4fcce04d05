"""TwiML: what an application wants done with a text, as its answer to Twilio's webhook says it.

`<Message>` (or the older `<Sms>`) and `<Redirect>` are read, in their order; an answer of the type `text/plain` is one reply.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

MAX_BYTES: Final = 64 * 1024
MAX_REPLIES: Final = 100
MAX_MEDIA: Final = 10
MAX_TAG: Final = 20

_XML_TYPES: Final = frozenset({"", "text/xml", "application/xml", "text/html", "application/xhtml+xml"})
# Charsets that applications use; codecs of Python that are no charsets must not be reached by name.
_CHARSETS: Final[Mapping[str, str]] = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "utf-16": "utf-16",
    "iso-8859-1": "iso-8859-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "windows-1252",
}
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([A-Za-z0-9_-]{1,40})""", re.IGNORECASE)
_NAMESPACE = re.compile(r"\{[^}]*\}")
_METHODS: Final = frozenset({"GET", "POST"})


class UnreadableAnswer(Exception):
    """Nothing in the answer can be obeyed. The reason has no text of the answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One message. `to` and `sender` are as they stand in the answer, empty where it leaves them out."""

    text: str = field(repr=False)
    to: str = field(default="", repr=False)
    sender: str = field(default="", repr=False)
    status_callback: str = field(default="", repr=False)
    media: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Redirect:
    url: str = field(repr=False)
    method: str


@dataclass(frozen=True, slots=True)
class Document:
    """What one answer asks for. `notes` are sentences about what was left out."""

    replies: tuple[Reply, ...] = ()
    redirect: Redirect | None = None
    notes: tuple[str, ...] = ()


def read(body: bytes, *, content_type: str, url: str) -> Document:
    """Read an answer that came from `url`, against which relative addresses are resolved. Raises `UnreadableAnswer`."""
    if len(body) > MAX_BYTES:
        raise UnreadableAnswer(f"The answer is longer than {MAX_BYTES // 1024} KiB.")
    if not body.strip():
        return Document()
    media_type = content_type.partition(";")[0].strip().lower()
    charset = _CHARSET.search(content_type)
    if media_type == "text/plain":
        return _plain(_decoded(body, charset[1] if charset else "utf-8"))
    if media_type not in _XML_TYPES:
        raise UnreadableAnswer("The answer is neither XML nor plain text, by its content type.")
    return _document(_parsed(_decoded(body, charset[1]) if charset else body), url)


def _decoded(body: bytes, charset: str) -> str:
    try:
        return body.decode(_CHARSETS[charset.lower()])
    except KeyError:
        raise UnreadableAnswer("The answer has a charset that is not known.") from None
    except UnicodeError:
        raise UnreadableAnswer("The answer is not text in its charset.") from None


def _plain(text: str) -> Document:
    if "\0" in text:
        raise UnreadableAnswer("The answer has NUL characters.")
    stripped = text.removeprefix("\ufeff").strip()
    return Document((Reply(stripped),)) if stripped else Document()


def _parsed(text: str | bytes) -> Element:
    try:
        root: Element = fromstring(text.lstrip(), forbid_dtd=True)
    except ParseError as error:
        line, column = error.position
        raise UnreadableAnswer(f"The answer is not well-formed XML (line {line}, column {column}).") from None
    except DefusedXmlException:
        raise UnreadableAnswer("The answer has a document type or an entity, which are not read.") from None
    except (LookupError, ValueError):  # an encoding that the declaration names and Python does not know
        raise UnreadableAnswer("The answer is not XML in a known encoding.") from None
    if _tag(root) != "Response":
        raise UnreadableAnswer("The answer's root element is not <Response>.")
    return root


def _document(root: Element, url: str) -> Document:
    replies: list[Reply] = []
    notes: list[str] = []
    for verb in root:
        match _tag(verb):
            case "Message" | "Sms" if len(replies) == MAX_REPLIES:
                notes.append(f"Only the first {MAX_REPLIES} messages of the answer are sent.")
                break
            case "Message" | "Sms":
                reply = _reply(verb, url, notes)
                if reply.text or reply.media:
                    replies.append(reply)
                else:
                    notes.append("A message without text is not sent.")
            case "Redirect":
                target = _resolved(url, _text(verb), notes)
                method = verb.get("method", "POST").strip().upper()
                redirect = Redirect(target, method if method in _METHODS else "POST") if target else None
                return Document(tuple(replies), redirect, tuple(notes))  # what follows is never reached
            case name:
                notes.append(f"<{name}> is ignored.")
    return Document(tuple(replies), None, tuple(dict.fromkeys(notes)))


def _reply(verb: Element, url: str, notes: list[str]) -> Reply:
    nouns = {name: [noun for noun in verb if _tag(noun) == name] for name in ("Body", "Media")}
    if verb.get("action"):
        notes.append("`action` is not called; use `statusCallback`.")
    status_callback = verb.get("statusCallback", "").strip()
    addresses = list(filter(None, map(_text, nouns["Media"])))  # an empty one would be the address of the answer
    media = [_resolved(url, address, notes) for address in addresses[:MAX_MEDIA]]
    body = "".join(map(_text, nouns["Body"])) if nouns["Body"] else "".join(_own_text(verb))
    return Reply(
        text=body.strip(),
        to=verb.get("to", "").strip(),
        sender=verb.get("from", "").strip(),
        status_callback=_resolved(url, status_callback, notes) if status_callback else "",
        media=tuple(filter(None, media)),
    )


def _own_text(element: Element) -> Iterator[str]:
    """The text of an element without that of its children."""
    yield element.text or ""
    for child in element:
        yield child.tail or ""


def _text(element: Element) -> str:
    return "".join(element.itertext()).strip()


def _tag(element: Element) -> str:
    return _NAMESPACE.sub("", element.tag)[:MAX_TAG]


def _resolved(base: str, url: str, notes: list[str]) -> str:
    try:
        return urljoin(base, url)
    except ValueError:
        notes.append("An address in the answer is not valid.")
        return ""
