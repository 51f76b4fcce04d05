"""The `config` of a `generic_http` account, which describes the API of one HTTP gateway."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)
from pydantic import ValidationInfo as Info

from providers.backends import templates
from providers.backends.answers import AnswerRule, Pattern
from providers.backends.callback_auth import CallbackAuthConfig
from providers.backends.callback_mapping import InboundMapping, StatusMapping
from providers.backends.validity import ValidityLimits
from providers.contract.config_types import (
    NO_LITERAL,
    SECRET_NAME,
    EnvReference,
    HeaderName,
    HeaderValue,
    HttpUrl,
    Part,
    Path,
    Secret,
    Text,
    is_reference,
    is_stored,
    mapping_without_ambiguity,
)
from providers.contract.sender import CommonConfig
from providers.http.authentication import Auth
from providers.http.connection_options import ConnectionOptions

OurField = Literal[
    "to", "message", "from", "callback_url", "media", "id", "encoding", "segments", "valid_for", "valid_until"
]
DEFAULT_FIELDS: Mapping[OurField, str] = {"to": "to", "message": "message"}
# Set by our HTTP client; a configured value would break the request.
FRAMING_HEADERS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})
# Where a request's template has the short form's field of another name.
PLACEHOLDER_OF: Mapping[str, str] = {"media": "media_urls"}
USE_BODY = "write it in `body`, which has lists and objects; a name with a dot would be sent flat"

Success = Annotated[int, Field(ge=200, le=299, strict=True)]
Refusal = Annotated[int, Field(ge=400, le=599, strict=True)]
RefusalKey = Annotated[int, Field(ge=400, le=599)]
ErrorCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[!-~]+$")]
Scalar = str | int | float | bool
Unambiguous = BeforeValidator(mapping_without_ambiguity)


def _without_dot(name: str) -> str:
    if "." in name:
        raise ValueError(f"{name!r} has a dot: {USE_BODY}")
    return name


FlatName = Annotated[FieldName, AfterValidator(_without_dot)]


class IdByPattern(Part):
    """The id is the first group of a regular expression, found in the body."""

    text: Pattern

    @field_validator("text")
    @classmethod
    def _has_a_group(cls, value: str) -> str:
        if "(" not in value:
            raise ValueError("needs a group in brackets around the id")
        return value


class IdInXml(Part):
    """The id is an element: the names of the elements from the root on, between slashes."""

    xml: Annotated[str, StringConstraints(pattern=r"^[^/.\s]+(/[^/.\s]+)*$", max_length=200)]

    @property
    def path(self) -> str:
        return self.xml.replace("/", ".")


def _kind_of_id(value: Any) -> str | None:
    """The tag of a value in the union below."""
    if isinstance(value, str):
        return "path"
    if isinstance(value, IdByPattern | IdInXml):
        return "text" if isinstance(value, IdByPattern) else "xml"
    return next((kind for kind in ("text", "xml") if isinstance(value, dict) and kind in value), None)


MessageId = Annotated[
    Annotated[Path, Tag("path")] | Annotated[IdByPattern, Tag("text")] | Annotated[IdInXml, Tag("xml")],
    Discriminator(
        _kind_of_id,
        custom_error_type="message_id",
        custom_error_message='must be a path, {"text": "<regular expression>"}, {"xml": "<path>"} or null',
    ),
]


class AnswerPrice(Part):
    """Where a response has the carrier's own price, of all parts or of each; in the account's currency if it names none."""

    price: Path
    currency: Path | None = None


class CallbackAnswer(Part):
    """What the provider wants to read when its callback is stored."""

    status: Success = 200
    content_type: Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]*[!-~])?$", max_length=100)] = "text/plain"
    body: Annotated[str, StringConstraints(max_length=1000)] = ""


class GenericHttpConfig(CommonConfig, ConnectionOptions):
    url: HttpUrl
    method: Literal["POST", "PUT", "GET"] = "POST"
    format: Literal["json", "form", "query"] = "json"
    headers: Annotated[Mapping[HeaderName, HeaderValue], Unambiguous] = Field(default_factory=dict, repr=False)
    auth: Auth | None = None
    body: Any = Field(default=None, repr=False)
    constants: Annotated[Mapping[FlatName, Any], Unambiguous] = Field(default_factory=dict, repr=False)
    fields: Mapping[OurField, FlatName] = Field(default_factory=dict)
    values: Mapping[str, Mapping[str, Scalar]] = Field(default_factory=dict)
    validity: ValidityLimits | None = None
    answer: tuple[AnswerRule, ...] = ()
    message_id: MessageId | None = "message_id"
    answer_price: AnswerPrice | None = None
    accepted: frozenset[Success] = Field(default=frozenset(range(200, 300)), min_length=1)
    # Not 502 and 504: a proxy in front of the provider answers so after it has passed the message on.
    unavailable: frozenset[Refusal] = frozenset({429, 500, 503})
    rejected: Mapping[RefusalKey, ErrorCode] = Field(default_factory=dict)
    status: StatusMapping = Field(default_factory=StatusMapping)
    inbound: InboundMapping = Field(default_factory=InboundMapping)
    callback_answer: CallbackAnswer | None = None
    callback_auth: CallbackAuthConfig = "token"
    callback_secret: Secret | None = None
    callback_username: Text | None = None
    callback_password: Secret | None = None
    status_url: HttpUrl | None = None
    idempotency_header: HeaderName | None = None

    @field_validator("headers")
    @classmethod
    def _headers_can_be_set(cls, headers: Mapping[str, Any], info: Info) -> Mapping[str, Any]:
        for name, value in headers.items():
            if name.lower() in FRAMING_HEADERS:
                raise ValueError(f"{name} cannot be set")
            _refuse_literal_secret(name, value, info)
        return headers

    @field_validator("constants")
    @classmethod
    def _constants_are_plain(cls, constants: Mapping[str, Any], info: Info) -> Mapping[str, Any]:
        for name, value in constants.items():
            if not isinstance(value, Scalar) and not (is_stored(info) and is_reference(value)):
                raise ValueError(f'{name} must be a text, a number, true, false or {{"env": "NAME"}}')
            _refuse_literal_secret(name, value, info)
        return constants

    @field_validator("body")
    @classmethod
    def _body_can_be_filled(cls, body: Any, info: Info) -> Any:
        if body is not None and not isinstance(body, dict | list):
            raise ValueError("must be an object or a list")
        if is_stored(info):
            templates.check(body)
            for name, value in _named_values(body):
                if isinstance(value, str) and not any(templates.names_in(value)):
                    _refuse_literal_secret(name, value, info)
        return body

    @field_validator("fields")
    @classmethod
    def _every_field_has_its_own_name(cls, fields: Mapping[OurField, str]) -> Mapping[OurField, str]:
        complete = {**DEFAULT_FIELDS, **fields}
        if len(set(complete.values())) != len(complete):
            raise ValueError("two fields have the same name")
        return complete

    @field_validator("values")
    @classmethod
    def _values_replace_placeholders(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in values:
            templates.check(f"{{{name}}}")
        return values

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        if self.auth is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("auth makes the header Authorization: leave it out of headers")
        return self

    @model_validator(mode="after")
    def _one_form_of_the_request(self) -> Self:
        if self.body is None:
            return self
        if self.model_fields_set & {"fields", "constants"}:
            raise ValueError("body says the whole request: it takes no fields and no constants beside it")
        if (self.format != "json" or self.method == "GET") and not _is_flat(self.body):
            raise ValueError(
                "a form or a query is flat: body must be an object of texts and numbers, or lists of these"
            )
        return self

    @model_validator(mode="after")
    def _callbacks_can_be_authenticated(self) -> Self:
        if self.callback_auth == "hmac" and self.callback_secret is None:
            raise ValueError("callback_auth hmac needs callback_secret")
        if self.callback_auth == "basic" and (self.callback_username is None or self.callback_password is None):
            raise ValueError("callback_auth basic needs callback_username and callback_password")
        return self

    @model_validator(mode="after")
    def _every_status_means_one_thing(self) -> Self:
        twice = self.unavailable & self.rejected.keys()
        if twice:
            raise ValueError(f"{min(twice)} is both unavailable and rejected")
        return self

    @property
    def template(self) -> Any:
        """The request's content, without `constants`: `body`, or what `fields` says in short."""
        if self.body is not None:
            return self.body
        fields = self.fields or DEFAULT_FIELDS
        return {name: f"{{{PLACEHOLDER_OF.get(field, field)}}}" for field, name in fields.items()}

    @property
    def sends_media(self) -> bool:
        return "media_urls" in templates.names_in(self.template)


def _named_values(content: Any) -> Iterator[tuple[str, Any]]:
    """Every value of an object, however deep, with its name."""
    if is_reference(content):
        return
    if isinstance(content, dict):
        for name, value in content.items():
            yield name, value
            yield from _named_values(value)
    elif isinstance(content, list):
        for value in content:
            yield from _named_values(value)


def _is_flat(body: Any) -> bool:
    def is_plain(value: Any) -> bool:
        return isinstance(value, Scalar) or is_reference(value)

    return isinstance(body, dict) and all(
        is_plain(value) or (isinstance(value, list) and all(map(is_plain, value))) for value in body.values()
    )


def _refuse_literal_secret(name: str, value: Any, info: Info) -> None:
    is_named_as_secret = SECRET_NAME.search(name) is not None
    if is_stored(info) and is_named_as_secret and not isinstance(value, EnvReference) and not is_reference(value):
        raise ValueError(f"{name}: {NO_LITERAL}")
