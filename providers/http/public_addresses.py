"""The policy for addresses that outsiders give us: only the public internet, and the networks that an operator allows.

There are two checks. `check_url`, for the time when an address is given, uses no network: it checks scheme, port, literal
addresses, and names that are local by convention. `check_address` checks each address before connecting and is decisive,
because a name may resolve to any address, and to another one each time.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL_LENGTH: Final = 2048
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# Ports below 1024 belong to other services. The refused ones belong to services that execute lines of any protocol.
FIRST_FREE_PORT: Final = 1024
REFUSED_PORTS: Final = frozenset(
    {1719, 1720, 1723, 2049, 3306, 3659, 4045, 4190, 5060, 5061, 5432, 6000, 6379, 6566, 6665, 6666, 6667, 6668}
    | {6669, 6679, 6697, 9100, 10080, 11211, 27017}
)

# The networks that IANA's registries do not list as globally reachable; `ipaddress` has them only in newer versions of Python.
NOT_PUBLIC_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's service for its own machines, on an address that looks public
        "169.254.0.0/16",  # link-local, and the clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, retired
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# Global unicast addresses are allocated from 2000::/3 only; loopback, unique local, link-local and others are outside.
GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
NOT_PUBLIC_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them: an IPv4 address in disguise
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)
NAT64: Final = IPv6Network("64:ff9b::/96")

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNWRITABLE = re.compile(r"[^!-~]|\\")
LOCAL_SUFFIXES: Final = (
    *(".localhost", ".local", ".localdomain", ".internal", ".intranet", ".private", ".corp", ".home", ".lan"),
    *(".home.arpa", ".test", ".invalid", ".onion"),
)


class AddressRefused(Exception):
    """The address must not be called. The reason may be shown to outsiders: it says nothing about our network."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The policy. Addresses in `allowed_networks` may be called too; if there are any, local names pass `check_url`."""

    allowed_networks: Sequence[Network] = ()

    @classmethod
    def allowing(cls, networks: Iterable[str]) -> "Guard":
        """A guard that also allows these networks, such as `10.1.0.0/16`. Raises `ValueError` for an invalid network."""
        return cls(tuple(ip_network(network) for network in networks))

    def check_url(self, url: str) -> Url:
        """The parsed URL. Raises `AddressRefused`. Resolves no name."""
        parts = _parse(url)
        host = (parts.host or "").removesuffix(".")
        port = parts.port if parts.port is not None else DEFAULT_PORTS[parts.scheme or ""]
        if port in REFUSED_PORTS or (port < FIRST_FREE_PORT and port not in DEFAULT_PORTS.values()):
            raise AddressRefused("this port is not allowed")
        literal = literal_address(host)
        if literal is not None:
            self.check_address(literal)
        elif not self.allowed_networks and ("." not in host or host.endswith(LOCAL_SUFFIXES)):
            raise AddressRefused("this name is local; only public addresses are called")
        return parts

    def check_address(self, address: Address) -> None:
        """Raise `AddressRefused` unless this address may be connected to."""
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address in network for network in self.allowed_networks):
            return
        if address.version == 6 and address in NAT64:  # noqa: PLR2004 (a protocol's name)
            address = IPv4Address(int(address) & 0xFFFFFFFF)
        if not _is_public(address):
            raise AddressRefused("this is not a public address")


def literal_address(host: str) -> Address | None:
    """The address in a URL's host, None for a name. Raises `AddressRefused` for a host that is neither.

    Resolvers read a name that ends in a number as an IPv4 address (decimal, octal, hexadecimal or shortened); only the usual
    form of four decimal numbers is accepted.
    """
    if ":" in host:
        try:
            return IPv6Address(_without_scope(host.strip("[]")))
        except ValueError:
            raise AddressRefused("this is not an IPv6 address") from None
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return IPv4Address(host)
        except ValueError:
            raise AddressRefused("an IPv4 address must be written as four decimal numbers") from None
    if not _HOST_NAME.fullmatch(host):
        raise AddressRefused("this is not a host name")
    return None


def resolved_address(text: str) -> Address:
    """An address from a resolver. Raises `AddressRefused` for one with a scope, which is valid on one interface only."""
    try:
        return ip_address(_without_scope(text))
    except ValueError:
        raise AddressRefused("the name does not resolve to an address") from None


def _parse(url: str) -> Url:
    if len(url) > MAX_URL_LENGTH:
        raise AddressRefused(f"an address has at most {MAX_URL_LENGTH} characters")
    if _UNWRITABLE.search(url):
        raise AddressRefused("an address must not contain spaces, backslashes or non-ASCII characters")
    if not url.lower().startswith(("http://", "https://")):
        raise AddressRefused("only http and https addresses are called")
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise AddressRefused("this is not an address") from None
    if not parts.host:
        raise AddressRefused("an address needs a host")
    if parts.auth is not None:
        raise AddressRefused("an address must not contain a user or a password")
    return parts


def _without_scope(text: str) -> str:
    if "%" in text:
        raise AddressRefused("an address must not have a scope")
    return text


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_V4)
    return address in GLOBAL_UNICAST and not any(address in network for network in NOT_PUBLIC_V6)
