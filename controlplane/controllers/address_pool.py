"""Which load-balancer address a Service gets: pure, from the pool's range and the addresses in use."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from controlplane.api.errors import ApiError


class NoAddress(ApiError):
    """No address can be given; the message says why, for the Service's event."""

    code = 409
    reason = "Conflict"


def allocate(pool: ipaddress.IPv4Network, used: Collection[str], wanted: str) -> str:
    """`wanted` if it is in the pool and free, or the lowest free address where "" is wanted.

    The first and the last address of the range are not given out, as in any subnet. Raises NoAddress.
    """
    if wanted:
        return _wanted(pool, used, wanted)
    for address in pool.hosts():
        if str(address) not in used:
            return str(address)
    raise NoAddress(f"no free address left in {pool}")


def _wanted(pool: ipaddress.IPv4Network, used: Collection[str], wanted: str) -> str:
    try:
        address = ipaddress.IPv4Address(wanted)
    except ValueError as error:
        raise NoAddress(f"requested address {wanted!r} is not an IPv4 address") from error
    if address not in pool or address in (pool.network_address, pool.broadcast_address):
        raise NoAddress(f"requested address {address} is not in the load balancer range {pool}")
    if str(address) in used:
        raise NoAddress(f"requested address {address} is already in use")
    return str(address)
