"""The `config` of an SMPP account."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from providers.contract.config_types import EnvOnly, EnvOrText, Text
from providers.contract.sender import CommonConfig
from providers.http.connection_options import CertificateFiles
from providers.numbers import Notation
from providers.smpp.pdu import MAX_PASSWORD, MAX_SYSTEM_ID, MAX_SYSTEM_TYPE
from providers.smpp.text import Alphabet, LongText

MAX_BINDS, MAX_WINDOW, MAX_RESPONSE_SECONDS = 16, 1000, 60


def _fits_password(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable():
        raise ValueError("must have only printable ASCII characters")
    return value


Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:_-]{0,251}[A-Za-z0-9])?$"), EnvOrText]
SystemId = Annotated[str, StringConstraints(pattern=rf"^[!-~]([ -~]{{0,{MAX_SYSTEM_ID - 2}}}[!-~])?$"), EnvOrText]
SystemType = Annotated[str, StringConstraints(pattern=rf"^[!-~]{{0,{MAX_SYSTEM_TYPE}}}$"), EnvOrText]
Password = Annotated[SecretStr, Field(min_length=1, max_length=MAX_PASSWORD), AfterValidator(_fits_password), EnvOnly]


class SmppConfig(CommonConfig):
    """Numbers are written as digits unless `number_format` says otherwise, as most carriers want them.

    `enquire_link_seconds` and `response_timeout` are in seconds.
    """

    host: Host
    port: int = Field(ge=1, le=65_535, strict=True)
    system_id: SystemId
    password: Password
    system_type: SystemType = ""
    bind: Literal["transceiver", "transmitter+receiver"] = "transceiver"
    binds: int = Field(default=1, ge=1, le=MAX_BINDS, strict=True)
    window: int = Field(default=10, ge=1, le=MAX_WINDOW, strict=True)
    tls: bool = Field(default=False, strict=True)
    ca_file: Text | None = None
    client_certificate: CertificateFiles | None = None
    default_alphabet: Alphabet = Alphabet.GSM7
    long_text: LongText = LongText.UDH
    enquire_link_seconds: float = Field(default=30.0, ge=1, le=3600, strict=True, allow_inf_nan=False)
    response_timeout: float = Field(default=8.0, ge=1, le=MAX_RESPONSE_SECONDS, strict=True, allow_inf_nan=False)
    query_unknown: bool = Field(default=False, strict=True)
    number_format: Notation = Notation.DIGITS

    @model_validator(mode="after")
    def _certificates_need_tls(self) -> Self:
        if not self.tls and (self.ca_file or self.client_certificate):
            raise ValueError("ca_file and client_certificate need tls: true")
        return self
