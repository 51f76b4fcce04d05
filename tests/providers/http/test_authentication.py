"""How calls are authenticated without OAuth, and which configurations are refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from providers.contract.config_types import STORED
from providers.errors import Misconfigured
from providers.http.transport import Transport
from tests.contract.fake_carrier import FakeCarrier, answer
from tests.providers.http.authenticated_calls import AUTH, authenticator, through


@pytest.mark.parametrize(
    ("config", "headers"),
    [
        (None, {}),
        ({"type": "bearer", "token": "abc"}, {"Authorization": "Bearer abc"}),
        ({"type": "basic", "username": "id", "password": "p:w"}, {"Authorization": "Basic aWQ6cDp3"}),
        ({"type": "basic", "username": "token", "password": ""}, {"Authorization": "Basic dG9rZW46"}),
        ({"type": "basic", "username": "\u00e9", "password": "\u20ac"}, {"Authorization": "Basic w6k64oKs"}),
    ],
)
def test_credentials_become_headers(config: Any, headers: Any, http: Transport) -> None:
    assert authenticator(config, http).headers() == headers


def test_a_401_is_passed_on_where_there_is_nothing_to_renew(carrier: FakeCarrier, http: Transport) -> None:
    carrier.play = answer(401)

    for config in (None, {"type": "bearer", "token": "abc"}):
        assert authenticator(config, http).call(through(carrier, http)).status == 401

    assert len(carrier.received) == 2


@pytest.mark.parametrize("token", ["a b", "\u00e9", "a\nb"])
def test_a_token_that_no_header_can_carry_is_a_misconfiguration(token: str, http: Transport) -> None:
    with pytest.raises(Misconfigured):
        authenticator({"type": "bearer", "token": token}, http).headers()


@pytest.mark.parametrize(
    "config",
    [
        {"type": "basic", "username": "a:b", "password": {"env": "SMS_PASSWORD"}},
        {"type": "basic", "username": "a", "password": "literal"},
        {"type": "basic", "username": "a"},
        {"type": "bearer", "token": "literal"},
        {"type": "oauth2", "token_url": "http://a/", "client_id": "a", "client_secret": "literal"},
        {"type": "oauth2", "token_url": "ftp://a/", "client_id": "a", "client_secret": {"env": "SMS_SECRET"}},
        {"type": "digest"},
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(config: Any) -> None:
    with pytest.raises(ValidationError):
        AUTH.validate_python(config, context=STORED)


def test_a_token_as_the_name_is_not_in_the_repr() -> None:
    assert "abc" not in repr(AUTH.validate_python({"type": "basic", "username": "abc", "password": ""}))
