"""The bytes that a provider signs, described by a template: `{timestamp}.{body}`."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AfterValidator, StringConstraints

from providers.backends.payload import MAX_FORM_FIELDS, read_json
from providers.contract.callbacks import CallbackRequest
from providers.errors import InvalidSignature

# The parameter of our own callback addresses, which the provider repeats and does not sign as a field.
OUR_PARAMETER: Final = "token"
FORM: Final = "application/x-www-form-urlencoded"

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")

Pair = tuple[str, str]


@dataclass(frozen=True)
class SignedParts:
    """What a template may name of one request. Its properties raise `InvalidSignature` for a request without them.

    `signature_field` is the field that holds the signature itself, "" where a header does.
    """

    request: CallbackRequest
    timestamp: str = ""
    nonce: str = ""
    signature_field: str = ""

    @cached_property
    def url(self) -> SplitResult:
        try:
            return urlsplit(self.request.url)
        except ValueError:
            raise InvalidSignature("the callback's address cannot be read") from None

    @property
    def url_without_query(self) -> str:
        return self.request.url.partition("?")[0]

    @cached_property
    def query_pairs(self) -> list[Pair]:
        return _form_pairs(self.url.query)

    @cached_property
    def body_pairs(self) -> list[Pair]:
        """The fields of a form, or of a JSON object of texts and integers; none in an empty body."""
        body = self.request.body
        media_type = self.request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
        if not body:
            return []
        if media_type == FORM:
            return _form_pairs(body.decode("utf-8", "surrogateescape"))
        if media_type.rpartition("/")[2].rpartition("+")[2] == "json":
            return _json_pairs(body)
        raise InvalidSignature("the callback's body has no fields that can be signed")

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """The fields of query and body together, each of which must be there once; without the token of our own address."""
        pairs = [pair for pair in self.query_pairs if pair[0] != OUR_PARAMETER] + self.body_pairs
        if any(count > 1 for count in Counter(name for name, _value in pairs).values()):
            raise InvalidSignature("a field of the callback is repeated")
        return dict(pairs)

    def sorted_fields(self) -> str:
        return "".join(f"{name}{value}" for name, value in sorted(self.body_pairs))

    def sorted_url(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in sorted(self.query_pairs))
        start = "?" if query or self.body_pairs else ""
        end = "." if query and self.body_pairs else ""
        return f"{self.url_without_query}{start}{query}{end}"

    def sorted_pairs(self) -> str:
        signed = sorted(pair for pair in self.fields.items() if pair[0] != self.signature_field)
        return "".join(f"&{name}={value.replace('&', '_').replace('=', '_')}" for name, value in signed)


PLACEHOLDERS: Final[Mapping[str, Callable[[SignedParts], str | bytes]]] = {
    "body": lambda parts: parts.request.body,
    "body_sha256": lambda parts: sha256(parts.request.body).digest(),
    "method": lambda parts: parts.request.method,
    "nonce": lambda parts: parts.nonce,
    "path": lambda parts: parts.url.path,
    "query": lambda parts: parts.url.query,
    "sorted_fields": SignedParts.sorted_fields,
    "sorted_pairs": SignedParts.sorted_pairs,
    "sorted_url": SignedParts.sorted_url,
    "timestamp": lambda parts: parts.timestamp,
    "url": lambda parts: parts.request.url,
    "url_without_query": lambda parts: parts.url_without_query,
}
# A template of these alone would be the same for every request.
_NO_CONTENT: Final = frozenset({"timestamp", "nonce", "method"})


def placeholders(template: str) -> frozenset[str]:
    return frozenset(_PLACEHOLDER.findall(template))


def render(template: str, parts: SignedParts) -> bytes:
    """The signed bytes. Raises `InvalidSignature` for a request that has not what the template names."""
    pieces = _PLACEHOLDER.split(template)  # texts and names in turn
    content = [PLACEHOLDERS[piece](parts) if index % 2 else piece for index, piece in enumerate(pieces)]
    try:
        return b"".join(
            item if isinstance(item, bytes) else item.encode("utf-8", "surrogateescape") for item in content
        )
    except UnicodeEncodeError:
        raise InvalidSignature("the callback has a text that cannot be signed") from None


def _known_template(template: str) -> str:
    unknown = sorted(placeholders(template) - PLACEHOLDERS.keys())
    if unknown:
        known = " ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(f"unknown placeholder {{{unknown[0]}}}; known: {known}")
    if set("{}") & set(_PLACEHOLDER.sub("", template)):
        raise ValueError("has a brace that belongs to no placeholder")
    if not placeholders(template) - _NO_CONTENT:
        raise ValueError("must name a part of the request, for example {body}")
    return template


SignedTemplate = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_known_template)]


def _form_pairs(content: str) -> list[Pair]:
    """The pairs, percent-decoded. Octets that are not UTF-8 stay what they are, as surrogates."""
    try:
        return parse_qsl(
            content, keep_blank_values=True, errors="surrogateescape", max_num_fields=MAX_FORM_FIELDS, separator="&"
        )
    except ValueError:
        raise InvalidSignature("the callback has too many fields") from None


def _json_pairs(body: bytes) -> list[Pair]:
    try:
        content = read_json(body)
    except ValueError:
        raise InvalidSignature("the callback's body cannot be read") from None
    if not isinstance(content, dict) or not all(type(value) in {str, int} for value in content.values()):
        raise InvalidSignature("the callback's body has no fields that can be signed")
    return [(name, str(value)) for name, value in content.items()]
