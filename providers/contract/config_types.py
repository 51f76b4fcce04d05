"""The types of the values in an account's `config`.

A configuration is validated twice: as it is stored (context `STORED`), where `{"env": "NAME"}` may replace any text and must
replace a secret, and with all references resolved to plain texts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    WrapValidator,
)
from pydantic_core.core_schema import ValidatorFunctionWrapHandler

from providers import numbers
from providers.contract.currencies import CURRENCIES

STORED: Final[Mapping[str, bool]] = {"stored": True}

SECRET_NAME = re.compile(r"authorization|api[-_]?key|token|secret|password|passwd|cookie", re.IGNORECASE)
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NO_LITERAL = 'write {"env": "NAME"}: a secret is read from the environment, never stored'


@dataclass(frozen=True, slots=True)
class EnvReference:
    """`{"env": "NAME"}` in a stored configuration."""

    name: str


class Part(BaseModel):
    """An object within a configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def is_stored(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("stored"))


def is_reference(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"env"}


def _reference(value: Mapping[str, Any]) -> EnvReference:
    name = value["env"]
    if not isinstance(name, str) or not _VARIABLE_NAME.fullmatch(name):
        raise ValueError('"env" must be the name of an environment variable')
    return EnvReference(name)


def _text_or_reference(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    if is_stored(info) and is_reference(value):
        return _reference(value)
    return handler(value)


def _secret_or_reference(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    if not is_stored(info):
        return handler(value)
    if not is_reference(value):
        raise ValueError(NO_LITERAL)
    return _reference(value)


def _http_url(value: str) -> str:
    if any(character <= " " or character == "\x7f" for character in value):
        raise ValueError("must not contain spaces or control characters")
    try:
        parts = urlsplit(value)
        _ = parts.port  # validated only when it is read
    except ValueError:
        raise ValueError("is not an address") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an absolute http or https address")
    if "@" in parts.netloc:
        raise ValueError("must not contain credentials; use headers with an environment reference")
    if parts.fragment:
        raise ValueError("must not have a fragment")
    if any(SECRET_NAME.search(name) for name, _value in parse_qsl(parts.query, keep_blank_values=True)):
        raise ValueError("must not carry a secret in its query; use constants with an environment reference")
    return value


def _currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("must be a currency code of ISO 4217, such as EUR")
    return code


def _exact(value: Any) -> Any:
    """A JSON number as it is written, or a text of digits: 0.1 is a tenth, which no float is."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError("must be a number, such as 0.0075")  # noqa: TRY004 (pydantic turns only ValueError into an error)
    return Decimal(str(value)) if isinstance(value, float) else value


def _country_code(value: str) -> str:
    if value not in numbers.COUNTRIES:
        raise ValueError("must be the two letters of a country, for example DE")
    return value


def mapping_without_ambiguity(value: Any, info: ValidationInfo) -> Any:
    """Refuse a mapping whose only key is `env`: it would be resolved as a reference to the environment."""
    if is_stored(info) and is_reference(value):
        raise ValueError('must not have "env" as its only key')
    return value


EnvOrText = WrapValidator(_text_or_reference)
EnvOnly = WrapValidator(_secret_or_reference)

Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$"), EnvOrText]
# The same length as a message's sender: a number in E.164, a short code or a name.
SenderId = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]{0,14}[!-~])?$"), EnvOrText]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=4096), EnvOnly]
HttpUrl = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(_http_url), EnvOrText]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]*[!-~])?$", max_length=4096), EnvOrText]
Prefix = Annotated[str, StringConstraints(pattern=r"^\+[0-9]{1,15}$")]
CountryCode = Annotated[str, AfterValidator(_country_code)]
Price = Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, le=1000, allow_inf_nan=False)]
Currency = Annotated[str, AfterValidator(_currency)]
Path = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$", max_length=200)]
