"""How an account's provider is reached: a private CA, a client certificate, a proxy."""

from typing import Annotated, Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WrapValidator
from pydantic import ValidationInfo as Info
from pydantic_core.core_schema import ValidatorFunctionWrapHandler
from urllib3.util.ssl_ import create_urllib3_context

from providers.contract.config_types import EnvOrText, Text, is_reference, is_stored
from providers.errors import Misconfigured


class ClientCertificate(BaseModel):
    """PEM files; without a `key_file` the key is in `cert_file` too. An encrypted key cannot be used."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    cert_file: Text
    key_file: Text | None = None


def _named_file(value: Any) -> Any:
    return {"cert_file": value} if isinstance(value, str) or is_reference(value) else value


# One file's name, or both.
CertificateFiles = Annotated[ClientCertificate, BeforeValidator(_named_file)]


def _proxy_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must not contain spaces, control characters or non-ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not an address") from None
    if parts.scheme != "http" or not parts.hostname or port is None or parts.path.strip("/") or parts.query:
        raise ValueError("must be http://host:port")
    credentials = unquote(f"{parts.username or ''}{parts.password or ''}")
    if not credentials.isascii() or not credentials.isprintable():
        raise ValueError("must not have credentials that no header can carry")
    return value


def _without_credentials(value: Any, handler: ValidatorFunctionWrapHandler, info: Info) -> Any:
    if is_stored(info) and isinstance(value, str) and "@" in value:
        raise ValueError('must not contain credentials; write {"env": "NAME"} for the whole address')
    return handler(value)


ProxyUrl = Annotated[
    SecretStr, Field(max_length=2000), AfterValidator(_proxy_url), WrapValidator(_without_credentials), EnvOrText
]


class ConnectionOptions(BaseModel):
    """The keys of a backend's `config`; a base of its `Config`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    ca_file: Text | None = None
    client_certificate: CertificateFiles | None = None
    proxy: ProxyUrl | None = None


DIRECT: Final = ConnectionOptions()


def check_files(options: ConnectionOptions) -> None:
    """Raise `Misconfigured` unless the files can be read and belong together."""
    context = create_urllib3_context()
    if options.ca_file is not None:
        try:
            context.load_verify_locations(cafile=options.ca_file)
        except (OSError, ValueError):
            raise Misconfigured("ca_file cannot be read, or has no certificate in PEM") from None
    if options.client_certificate is not None:
        certificate = options.client_certificate
        try:
            # An empty password: without one, the key of an encrypted file would be asked for on the terminal.
            context.load_cert_chain(certificate.cert_file, certificate.key_file, password="")
        except (OSError, ValueError):
            raise Misconfigured("client_certificate cannot be read, or has no key that fits it") from None
