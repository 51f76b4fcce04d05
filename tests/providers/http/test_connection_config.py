"""Which values of `ca_file`, `client_certificate` and `proxy` an account may have."""

from typing import Any

import pytest
from pydantic import ValidationError

from providers.contract.config_types import STORED
from providers.http.connection_options import ConnectionOptions


@pytest.mark.parametrize(
    "options",
    [
        {"ca_file": "/etc/ssl/carrier.pem", "proxy": "http://proxy.internal:3128"},
        {"client_certificate": "/etc/ssl/client.pem", "proxy": {"env": "SMS_PROXY"}},
        {"client_certificate": {"env": "SMS_CERTIFICATE"}},
        {"client_certificate": {"cert_file": "/a", "key_file": {"env": "SMS_KEY_FILE"}}},
    ],
)
def test_options_can_be_stored(options: dict[str, Any]) -> None:
    ConnectionOptions.model_validate(options, context=STORED)


@pytest.mark.parametrize(
    "proxy",
    [
        *("proxy:3128", "http://proxy", "https://proxy:3128", "socks5://proxy:1080", "http://proxy:3128/path"),
        *(
            "http://proxy:3128?a=b",
            "http://proxy:99999",
            "http://[proxy:1",
            "http://pr oxy:1",
            "http://pr\u00f6xy:1",
            "",
        ),
        "http://%C3%A9:word@proxy:3128",
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused(proxy: str) -> None:
    with pytest.raises(ValidationError):
        ConnectionOptions.model_validate({"proxy": proxy})


def test_credentials_of_a_proxy_come_from_the_environment_only() -> None:
    address = "http://user:pa55word@proxy:3128"

    with pytest.raises(ValidationError) as caught:
        ConnectionOptions.model_validate({"proxy": address}, context=STORED)

    assert "pa55word" not in str(caught.value)
    assert "pa55word" not in repr(ConnectionOptions.model_validate({"proxy": address}))
