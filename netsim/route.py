"""IPv4 routes: unicast by gateway or link, multipath, and those that refuse.

Our routes carry protocol numbers of ours, one for each who keeps a set of routes right, so that nobody takes
another's for stale. They are no mark: a route in the host's namespace is marked by the link that it leaves by.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import ipaddress
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from netsim.messages import route_message
from netsim.netlink import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Netlink,
    Request,
    attributes,
    iterate_attributes,
)

BOOT_PROTOCOL = 3
PROTOCOL = 78
BALANCER_PROTOCOL = 79
UPLINK_PROTOCOL = 80
STATIC_PROTOCOL = 81
OVERLAY_PROTOCOL = 82
MAIN_TABLE = 254
_LAST_SHORT_TABLE = 255

_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_GETROUTE = 24, 25, 26
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_METRIC, _RTA_PREFSRC, _RTA_MULTIPATH, _RTA_TABLE = 1, 4, 5, 6, 7, 9, 15
_RTNH_F_ONLINK = 4
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_NOWHERE = 0, 253, 255
_RTM_F_CLONED = 0x200
_HEADER = struct.Struct("=BBBBBBBBI")
_NEXTHOP = struct.Struct("=HBBi")
_INTEGER = struct.Struct("=I")
_GONE = frozenset({errno.ESRCH, errno.ENODEV})


class RouteType(IntEnum):
    """What happens to a packet that a route matches."""

    UNICAST = 1
    LOCAL = 2
    BROADCAST = 3
    BLACKHOLE = 6
    UNREACHABLE = 7
    PROHIBIT = 8
    THROW = 9


@dataclass(frozen=True, slots=True)
class Route:
    """A route: `destination` in CIDR form, and where it goes.

    `gateways` with several members is a multipath route. `index` is the outgoing link's ifindex, 0 if the
    kernel is to find it. `onlink` takes a gateway that no prefix of the link covers.
    """

    destination: str
    gateways: tuple[str, ...] = ()
    index: int = 0
    type: RouteType = RouteType.UNICAST
    onlink: bool = False
    source: str = ""
    table: int = MAIN_TABLE
    protocol: int = PROTOCOL
    metric: int = 0


@functools.lru_cache(maxsize=64)
def new_route(route: Route, *, replace: bool = False, append: bool = False) -> Request:
    """Asks to add a route. `replace` takes the place of one to the same destination, `append` comes beside it."""
    mode = NLM_F_REPLACE if replace else NLM_F_APPEND if append else NLM_F_EXCL
    return Request(_encode(_RTM_NEWROUTE, NLM_F_CREATE | mode, route), f"add {describe(route)}")


def removal(route: Route) -> Request:
    """Asks to delete a route; one that is gone is as good."""
    return Request(_encode(_RTM_DELROUTE, 0, route), f"delete {describe(route)}", _GONE)


def list_routes(netlink: Netlink, table: int | None = MAIN_TABLE) -> list[Route]:
    """The IPv4 routes of a table, or of all tables."""
    message = route_message(
        _RTM_GETROUTE, 0, [], prefixlen=0, table=0, protocol=0, scope=0, route_type=0, nexthop_flags=0
    )
    routes = [_parse(answer.body) for answer in netlink.dump(Request(message, "list routes"))]
    return [route for route in routes if route is not None and table in (None, route.table)]


def reconcile(netlink: Netlink, wanted: Iterable[Route], owned: Callable[[Route], bool]) -> None:
    """Makes the routes of all tables that `owned` is true of those that are wanted; the rest stays as it is.

    Routes that are right already are not touched.
    """
    target = {_key(route): route for route in wanted}
    present = {_key(route): route for route in list_routes(netlink, table=None) if owned(route)}
    stale = [removal(route) for key, route in present.items() if key not in target]
    new = [new_route(route, replace=True) for key, route in target.items() if not _same(route, present.get(key))]
    netlink.send(*new, *stale)


def describe(route: Route) -> str:
    """A route in words, for errors."""
    if route.type is not RouteType.UNICAST:
        return f"{route.type.name.lower()} route to {route.destination}"
    via = f" via {', '.join(route.gateways)}" if route.gateways else ""
    return f"route to {route.destination}{via}"


def _key(route: Route) -> tuple[int, str, int]:
    return route.table, route.destination, route.metric


def _same(wanted: Route, found: Route | None) -> bool:
    # The kernel fills in the link that leads to a gateway.
    return found is not None and wanted == (found if wanted.index else dataclasses.replace(found, index=0))


def _encode(kind: int, flags: int, route: Route) -> bytes:
    network = ipaddress.IPv4Network(route.destination)
    attrs: list[tuple[str, object]] = []
    if network.prefixlen:
        attrs.append(("RTA_DST", str(network.network_address)))
    if len(route.gateways) == 1:
        attrs.append(("RTA_GATEWAY", route.gateways[0]))
    elif route.gateways:
        attrs.append(("RTA_MULTIPATH", [_hop(gateway, route) for gateway in sorted(route.gateways)]))
    if route.index and len(route.gateways) < 2:
        attrs.append(("RTA_OIF", route.index))
    if route.source:
        attrs.append(("RTA_PREFSRC", route.source))
    if route.metric:
        attrs.append(("RTA_PRIORITY", route.metric))
    if route.table > _LAST_SHORT_TABLE:
        attrs.append(("RTA_TABLE", route.table))
    return route_message(
        kind,
        flags,
        attrs,
        prefixlen=network.prefixlen,
        table=route.table if route.table <= _LAST_SHORT_TABLE else 0,
        protocol=route.protocol,
        scope=_scope(kind, route),
        route_type=route.type,
        nexthop_flags=_RTNH_F_ONLINK if route.onlink and len(route.gateways) == 1 else 0,
    )


def _hop(gateway: str, route: Route) -> dict[str, object]:
    hop: dict[str, object] = {"hops": 0, "flags": _RTNH_F_ONLINK if route.onlink else 0}
    if route.index:
        hop["oif"] = route.index
    hop["attrs"] = [("RTA_GATEWAY", gateway)]
    return hop


def _scope(kind: int, route: Route) -> int:
    if kind == _RTM_DELROUTE:
        return _SCOPE_NOWHERE
    if route.type is RouteType.UNICAST and not route.gateways:
        return _SCOPE_LINK
    return _SCOPE_UNIVERSE


def _parse(body: bytes) -> Route | None:
    _family, prefixlen, _src, _tos, table, protocol, _, kind, flags = _HEADER.unpack_from(body)
    if flags & _RTM_F_CLONED or kind not in RouteType._value2member_map_:
        return None
    found = attributes(body, 12)
    gateways, index, onlink = [], _number(found.get(_RTA_OIF)), bool(flags & _RTNH_F_ONLINK)
    if _RTA_GATEWAY in found:
        gateways.append(_dotted(found[_RTA_GATEWAY]))
    hops = found.get(_RTA_MULTIPATH, b"")
    while len(hops) >= _NEXTHOP.size:
        length, hop_flags, _weight, hop_index = _NEXTHOP.unpack_from(hops)
        gateways += [_dotted(value) for kind_, value in iterate_attributes(hops[:length], 8) if kind_ == _RTA_GATEWAY]
        index, onlink = hop_index, bool(hop_flags & _RTNH_F_ONLINK)
        hops = hops[(length + 3) & ~3 :]
    return Route(
        destination=f"{_dotted(found.get(_RTA_DST, bytes(4)))}/{prefixlen}",
        gateways=tuple(gateways),
        index=index,
        type=RouteType(kind),
        onlink=onlink,
        source=_dotted(found[_RTA_PREFSRC]) if _RTA_PREFSRC in found else "",
        table=_number(found.get(_RTA_TABLE)) or table,
        protocol=protocol,
        metric=_number(found.get(_RTA_METRIC)),
    )


def _dotted(value: bytes) -> str:
    return str(ipaddress.IPv4Address(value))


def _number(value: bytes | None) -> int:
    return _INTEGER.unpack(value)[0] if value else 0
