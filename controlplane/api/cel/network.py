"""Kubernetes' own types in expressions: quantities, addresses, ranges of them, URLs."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from controlplane.api import quantity
from controlplane.api.cel.errors import CelError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Interface | ipaddress.IPv6Interface


NANO = 10**9


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An exact number of `resource.Quantity`."""

    amount: Fraction


def quantity_of(text: str) -> Quantity:
    """The quantity that `text` names."""
    try:
        return Quantity(Fraction(quantity.nanos(text), NANO))
    except quantity.QuantityError as error:
        raise CelError(str(error)) from error


def ip(text: str) -> Address:
    """The address that `text` names."""
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise CelError(f'IP Address "{text}" parse error during conversion from string') from error


def cidr(text: str) -> Network:
    """The range that `text` names, and the address in it."""
    if "/" not in text:
        raise CelError(f'network address parse error during conversion from string: "{text}"')
    try:
        return ipaddress.ip_interface(text)
    except ValueError as error:
        raise CelError(f'network address parse error during conversion from string: "{text}"') from error


def url(text: str) -> SplitResult:
    """The absolute URL, or absolute path, that `text` is."""
    try:
        found = urlsplit(text)
    except ValueError as error:
        raise CelError(f'URL parse error during conversion from string: parse "{text}": {error}') from error
    if not found.scheme and not text.startswith("/"):
        raise CelError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
    return found


def _can(make: Callable[[str], Any]) -> Callable[[str], bool]:
    def test(text: str) -> bool:
        try:
            make(text)
        except CelError:
            return False
        return True

    return test


is_quantity, is_ip, is_cidr, is_url = _can(quantity_of), _can(ip), _can(cidr), _can(url)


def _number(value: Any) -> Fraction:
    return value.amount if isinstance(value, Quantity) else Fraction(value)


def _compare(left: Quantity, right: Quantity) -> int:
    return (left.amount > right.amount) - (left.amount < right.amount)


def _within(network: Network, address: Any) -> bool:
    found = ip(address) if isinstance(address, str) else address
    return found.version == network.version and found in network.network


def _covers(network: Network, other: Any) -> bool:
    found = cidr(other) if isinstance(other, str) else other
    return found.version == network.version and found.network.subnet_of(network.network)  # type: ignore[arg-type]


METHODS: dict[str, Callable[..., Any]] = {
    "add": lambda left, right: Quantity(left.amount + _number(right)),
    "asApproximateFloat": lambda value: float(value.amount),
    "asInteger": lambda value: int(value.amount),
    "compareTo": _compare,
    "containsCIDR": _covers,
    "containsIP": _within,
    "family": lambda value: value.version,
    "getEscapedPath": lambda value: value.path,
    "getHost": lambda value: value.netloc.rpartition("@")[2],
    "getHostname": lambda value: value.hostname or "",
    "getPort": lambda value: str(value.port or ""),
    "getQuery": lambda value: parse_qs(value.query, keep_blank_values=True),
    "getScheme": lambda value: value.scheme,
    "ip": lambda value: value.ip,
    "isGlobalUnicast": lambda value: not (value.is_multicast or value.is_loopback or value.is_link_local),
    "isGreaterThan": lambda left, right: left.amount > right.amount,
    "isInteger": lambda value: value.amount.denominator == 1,
    "isLessThan": lambda left, right: left.amount < right.amount,
    "isLinkLocalMulticast": lambda value: value.is_multicast and value.is_link_local,
    "isLinkLocalUnicast": lambda value: value.is_link_local and not value.is_multicast,
    "isLoopback": lambda value: value.is_loopback,
    "isUnspecified": lambda value: value.is_unspecified,
    "masked": lambda value: cidr(str(value.network)),
    "prefixLength": lambda value: value.network.prefixlen,
    "sign": lambda value: (value.amount > 0) - (value.amount < 0),
    "sub": lambda left, right: Quantity(left.amount - _number(right)),
}
