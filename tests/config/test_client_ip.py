"""The client's IP address behind proxies."""

import pytest
from django.http import HttpRequest

from config.client_ip import UNKNOWN, client_address


def address(remote: str, forwarded: str | None = None) -> str:
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = remote
    if forwarded is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    return client_address(request)


@pytest.mark.parametrize("forwarded", [None, "", "203.0.113.9", "1.2.3.4, 5.6.7.8"])
def test_without_a_trusted_proxy_a_forwarded_address_is_ignored(settings, forwarded: str | None) -> None:
    settings.TRUSTED_PROXY_COUNT = 0

    assert address("198.51.100.7", forwarded) == "198.51.100.7"


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (1, " 6.6.6.6 ,203.0.113.9 ", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (2, "203.0.113.9", "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, None, "10.0.0.1"),
        (1, "2001:DB8::0001", "2001:db8::1"),
        (1, "nonsense", UNKNOWN),
        (1, "203.0.113.9:1234", UNKNOWN),
    ],
)
def test_behind_trusted_proxies_the_outermost_one_decides(
    settings, hops: int, forwarded: str | None, expected: str
) -> None:
    settings.TRUSTED_PROXY_COUNT = hops

    assert address("10.0.0.1", forwarded) == expected


@pytest.mark.parametrize("remote", ["", "unix:", "x"])
def test_a_peer_without_an_address_is_unknown(settings, remote: str) -> None:
    settings.TRUSTED_PROXY_COUNT = 0

    assert address(remote) == UNKNOWN
