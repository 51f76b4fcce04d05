"""Addresses that outsiders may not make us call: as they are written, and as they are connected to."""

from ipaddress import ip_address

import pytest

from providers.http.public_addresses import AddressRefused, Guard, resolved_address

PUBLIC_ONLY = Guard()
PRIVATE_V4 = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1"),  # noqa: S104
    *("172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
)
PRIVATE_V6 = (
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2002:7f00:1::"),
    *("2002:808:808::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1"),
)
PUBLIC = (
    *("1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "::ffff:8.8.8.8"),
    *("2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808"),
)


def test_an_address_that_is_not_public_is_refused(subtests: pytest.Subtests) -> None:
    for text in (*PRIVATE_V4, *PRIVATE_V6):
        with subtests.test(address=text), pytest.raises(AddressRefused):
            PUBLIC_ONLY.check_address(ip_address(text))


def test_a_public_address_passes(subtests: pytest.Subtests) -> None:
    for text in PUBLIC:
        with subtests.test(address=text):
            PUBLIC_ONLY.check_address(ip_address(text))


def test_it_is_refused_as_a_literal_in_a_url_as_well(subtests: pytest.Subtests) -> None:
    for text in (*PRIVATE_V4, *PRIVATE_V6):
        with subtests.test(address=text), pytest.raises(AddressRefused):
            PUBLIC_ONLY.check_url(f"http://{f'[{text}]' if ':' in text else text}/hook")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://2130706433/",
            "http://0x7f000001/",
            "http://017700000001/",
            "http://0177.0.0.1/",
            "http://0x7f.0.0.1/",
        ),
        *("http://127.1/", "http://127.0.1/", "http://0/", "http://127.0.0.1./", "http://00000127.0.0.1/"),
        *("http://8.8.8.010/", "http://134744072/", "http://example.0x7f/", "http://256.1.1.1/", "http://1.2.3.4.5/"),
        *("http://[::1%25lo]/", "http://[fe80::1%25eth0]/", "http://[::ffff:127.0.0.1]/", "http://[1.2.3.4]/"),
        *("http://localhost/", "http://LOCALHOST./", "http://a.localhost/", "http://printer.local/", "http://db/"),
        *("http://metadata.google.internal/", "http://nas.lan/", "http://router.home.arpa/", "http://127.0.0.%31/"),
        *(
            "http://user@example.com/",
            "http://user:password@example.com/",
            "http://example.com@127.0.0.1/",
        ),
        *("http://example.com\\@127.0.0.1/", "http://example.com /", "http://exämple.com/", "http://example.com/\n"),
        *("http://example.com:0/", "http://example.com:22/", "https://example.com:25/", "http://example.com:6379/"),
        *("http://example.com:99999/", "http://example.com:-1/", "http://example.com:a/", "http://example..com/"),
        *("ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/", "example.com", ""),
        *("http://", "http:///path", "https://?x", "http:example.com", "http:/example.com", "data:,x", "javascript:1"),
        *("http://example.com/" + "a" * 2048, "http://" + "a" * 64 + ".com/", "http://" + "a." * 126 + "com/"),
        *("http://exa mple.com/", "http://[::1/", "http://[]/", "http://e*.com/", "http://\uff11.0.0.1/"),
    ],
)
def test_what_is_never_called_is_refused_as_it_is_written(url: str) -> None:
    with pytest.raises(AddressRefused):
        PUBLIC_ONLY.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://example.com",
            "http://example.com/hook?a=b&c=%20",
            "https://example.com:8443/",
            "HTTPS://EXAMPLE.COM/",
        ),
        *(
            "http://8.8.8.8/",
            "http://[2606:4700::1111]:8080/",
            "https://xn--bcher-kva.example.com/",
            "https://a_b.example.com",
        ),
        *(
            "https://example.com./",
            "https://hooks.example.co.uk/#part",
            "http://1a.example.com/",
            "https://127.0.0.1.nip.io",
        ),
    ],
)
def test_an_ordinary_address_passes(url: str) -> None:
    PUBLIC_ONLY.check_url(url)


def test_an_endless_name_is_refused_at_once() -> None:
    with pytest.raises(AddressRefused):
        PUBLIC_ONLY.check_url("http://" + "a-" * 900 + "!/")


def test_an_allowed_network_may_be_called_and_no_other() -> None:
    guard = Guard.allowing(["10.1.0.0/16", "fd00:1::/64"])

    guard.check_url("http://10.1.2.3:8080/")
    guard.check_url("http://[fd00:1::5]/")
    guard.check_address(ip_address("::ffff:10.1.2.3"))

    for url in ("http://10.2.0.1/", "http://[fd00:2::5]/", "http://127.0.0.1/", "http://10.1/", "http://10.1.2.3:22/"):
        with pytest.raises(AddressRefused):
            guard.check_url(url)


def test_with_an_allowed_network_a_local_name_is_left_to_its_address() -> None:
    Guard.allowing(["10.1.0.0/16"]).check_url("http://receiver:8080/hook")


@pytest.mark.parametrize("network", ["10.0.0.1/8", "everything", "", "10.0.0.0/33"])
def test_what_is_no_network_is_not_allowed(network: str) -> None:
    with pytest.raises(ValueError, match=r"network|address|host bits"):
        Guard.allowing([network])


@pytest.mark.parametrize("text", ["fe80::1%eth0", "not an address", ""])
def test_an_invalid_result_of_a_resolver_is_refused(text: str) -> None:
    with pytest.raises(AddressRefused):
        resolved_address(text)
