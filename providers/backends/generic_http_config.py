"""The `config` of a `generic_http` account, which describes the API of one HTTP gateway."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic import ValidationInfo as Info

from providers.contract.callbacks import ReportedStatus
from providers.contract.config_types import (
    NO_LITERAL,
    SECRET_NAME,
    EnvReference,
    HeaderName,
    HeaderValue,
    HttpUrl,
    Path,
    Secret,
    Text,
    is_reference,
    is_stored,
    mapping_without_ambiguity,
)
from providers.contract.sender import CommonConfig

OurField = Literal["to", "message", "from", "callback_url", "media", "id"]
DEFAULT_FIELDS: Mapping[OurField, str] = {"to": "to", "message": "message"}
DEFAULT_STATUS_VALUES = {
    "delivered": ReportedStatus.DELIVERED,
    "failed": ReportedStatus.UNDELIVERED,
    "invalid": ReportedStatus.INVALID,
}
# Set by our HTTP client; a configured value would break the request.
FRAMING_HEADERS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})

Success = Annotated[int, Field(ge=200, le=299, strict=True)]
Refusal = Annotated[int, Field(ge=400, le=599, strict=True)]
RefusalKey = Annotated[int, Field(ge=400, le=599)]
ErrorCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[!-~]+$")]
RawStatus = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Unambiguous = BeforeValidator(mapping_without_ambiguity)


def _not_unrecognized(value: Any) -> Any:
    if value == ReportedStatus.UNRECOGNIZED:
        raise ValueError("unknown_word is reserved for statuses that this table does not list")
    return value


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class StatusMapping(Part):
    """The paths of a receipt's id, status and error code, and the meaning of its statuses."""

    message_id: Path = "message_id"
    status: Path = "status"
    error_code: Path | None = None
    values: Annotated[
        Mapping[RawStatus, Annotated[ReportedStatus, BeforeValidator(_not_unrecognized)]],
        Field(min_length=1),
        Unambiguous,
    ] = Field(default_factory=lambda: dict(DEFAULT_STATUS_VALUES))


class InboundMapping(Part):
    """The paths of an incoming message's fields."""

    sender: Path = Field(default="from", alias="from")
    to: Path = "to"
    message: Path = "message"
    id: Path | None = "id"
    media: Path | None = "media"


class GenericHttpConfig(CommonConfig):
    url: HttpUrl
    method: Literal["POST", "PUT", "GET"] = "POST"
    format: Literal["json", "form"] = "json"
    headers: Annotated[Mapping[HeaderName, HeaderValue], Unambiguous] = Field(default_factory=dict, repr=False)
    constants: Annotated[Mapping[FieldName, Any], Unambiguous] = Field(default_factory=dict, repr=False)
    fields: Mapping[OurField, FieldName] = Field(default_factory=dict)
    message_id: Path | None = "message_id"
    accepted: frozenset[Success] = Field(default=frozenset({200, 201, 202}), min_length=1)
    # Not 502 and 504: a proxy in front of the provider answers so after it has passed the message on.
    unavailable: frozenset[Refusal] = frozenset({429, 500, 503})
    rejected: Mapping[RefusalKey, ErrorCode] = Field(default_factory=dict)
    status: StatusMapping = Field(default_factory=StatusMapping)
    inbound: InboundMapping = Field(default_factory=InboundMapping)
    callback_auth: Literal["token", "hmac", "basic"] = "token"
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
            if not isinstance(value, str | int | float | bool) and not (is_stored(info) and is_reference(value)):
                raise ValueError(f'{name} must be a text, a number, true, false or {{"env": "NAME"}}')
            _refuse_literal_secret(name, value, info)
        return constants

    @field_validator("fields")
    @classmethod
    def _every_field_has_its_own_name(cls, fields: Mapping[OurField, str]) -> Mapping[OurField, str]:
        complete = {**DEFAULT_FIELDS, **fields}
        if len(set(complete.values())) != len(complete):
            raise ValueError("two fields have the same name")
        return complete

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
    def request_fields(self) -> Mapping[OurField, str]:
        return self.fields or DEFAULT_FIELDS


def _refuse_literal_secret(name: str, value: Any, info: Info) -> None:
    is_named_as_secret = SECRET_NAME.search(name) is not None
    if is_stored(info) and is_named_as_secret and not isinstance(value, EnvReference) and not is_reference(value):
        raise ValueError(f"{name}: {NO_LITERAL}")
