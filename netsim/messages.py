"""pyroute2's rtnetlink message classes, without the rest of pyroute2.

`import pyroute2`, which any import of a part of it does first, loads its database, its sockets and a
hundred modules more: 110 ms and 18 MB in a daemon that wants three message classes. Here the package is
entered in `sys.modules` as a stand-in that loads itself fully as soon as anything but a submodule is asked
of it, so `from pyroute2 import IPRoute` still works afterwards, for those who want it.

Only encoding is pyroute2's. Answers are read by `netsim.netlink.attributes`, a tenth of the work.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any


class _Deferred(ModuleType):
    """A package whose own `__init__` runs when something in it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        object.__setattr__(self, "__class__", ModuleType)
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _defer(package: str) -> None:
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"no package {package}", name=package)
    module = _Deferred(package)
    module.__spec__ = spec
    module.__loader__ = spec.loader
    module.__file__ = spec.origin
    module.__package__ = package
    module.__path__ = spec.submodule_search_locations
    sys.modules[package] = module
    # The message classes take this from the package itself, which would load the rest.
    importlib.import_module(f"{package}.config")


_defer("pyroute2")

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: E402
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: E402
from pyroute2.netlink.rtnl.ndmsg import ndmsg  # noqa: E402
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # noqa: E402

_IFF_UP = 1
_SHORTEST_HOLE = 3
_NTF_SELF = 0x02
MAC_HOLES = ("7e:7e:7e:7e:7e:7e", "7d:7d:7d:7d:7d:7d")
NUMBER_HOLE = 0x7C7C7C7C
ADDRESS_HOLE = "123.123.123.123"
"""Values that do not come up by themselves, one a kind."""

Attributes = Sequence[tuple[str, Any]]
"""Netlink attributes in pyroute2's form: (name, value), a nested one being {"attrs": [...]}."""


def name_hole(ifname: str) -> str:
    """A stand-in for a link's name in a message that is encoded once and used for many (see `filled`)."""
    return "\x7f" * len(ifname) if len(ifname) > _SHORTEST_HOLE else ifname


def filled(message: bytes, *values: tuple[bytes, bytes]) -> bytes:
    """A message with its holes filled: (hole, value of the same length) pairs.

    Encoding the nested message of a veth pair takes as long as the kernel takes to make one, and but for a name and
    two addresses it is the same for every container of a node.
    """
    for hole, value in values:
        message = message.replace(hole, value)
    return message


def _encode(message: Any, kind: int, flags: int, attributes: Attributes) -> bytes:
    message["header"]["type"] = kind
    message["header"]["flags"] = flags
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data)


def link_message(
    kind: int,
    flags: int,
    attributes: Attributes,
    *,
    index: int = 0,
    up: bool | None = None,
    family: int = 0,
    states: Mapping[int, bool] | None = None,
) -> bytes:
    """An `ifinfomsg`; `up` None leaves the link's state as it is, `states` are further IFF_ bits to set or clear."""
    message = ifinfmsg()
    message["family"] = family
    message["index"] = index
    given = {**(states or {}), **({} if up is None else {_IFF_UP: up})}
    if given:
        message["change"] = sum(given)
        message["flags"] = sum(bit for bit, on in given.items() if on)
    return _encode(message, kind, flags, attributes)


def address_message(
    kind: int, flags: int, attributes: Attributes, *, index: int, prefixlen: int, scope: int = 0, family: int = 2
) -> bytes:
    """An `ifaddrmsg`, IPv4 unless told."""
    message = ifaddrmsg()
    message["family"] = family
    message["index"] = index
    message["prefixlen"] = prefixlen
    message["scope"] = scope
    return _encode(message, kind, flags, attributes)


def route_message(
    kind: int,
    flags: int,
    attributes: Attributes,
    *,
    prefixlen: int,
    table: int,
    protocol: int,
    scope: int,
    route_type: int,
    nexthop_flags: int = 0,
    family: int = 2,
) -> bytes:
    """An `rtmsg`, IPv4 unless told."""
    message = rtmsg()
    message["family"] = family
    message["dst_len"] = prefixlen
    message["table"] = table
    message["proto"] = protocol
    message["scope"] = scope
    message["type"] = route_type
    message["flags"] = nexthop_flags
    return _encode(message, kind, flags, attributes)


def neighbour_message(
    kind: int, flags: int, attributes: Attributes, *, index: int, state: int, family: int = 2, own_table: bool = False
) -> bytes:
    """An `ndmsg`, IPv4 unless told. `own_table` is that of the link itself, and not of a bridge that it is in."""
    message = ndmsg()
    message["flags"] = _NTF_SELF if own_table else 0
    message["family"] = family
    message["ifindex"] = index
    message["state"] = state
    return _encode(message, kind, flags, attributes)
