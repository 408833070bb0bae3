"""Name: host-local

Description: gives out addresses of ranges, kept in files on this host. An IPAM plugin: other plugins call it.

Syntax (the `ipam` of a main plugin's configuration):
    type        "host-local"
    ranges      list of lists of {subnet, rangeStart, rangeEnd, gateway}: one address is taken of each inner list.
                A single {subnet, ...} in the `ipam` itself is taken as one more list.
    routes      list of {dst, gw}, handed on in the result
    dataDir     where the files are, default /var/lib/cni/networks; below it a directory per network
An address is asked for by CNI_ARGS `IP=...`, `args.cni.ips` or the capability `ips`; more ranges come by `ipRanges`.

Example: {"type": "host-local", "ranges": [[{"subnet": "10.44.1.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network, NetmaskValueError
from pathlib import Path
from typing import Any

from cni.call import Call
from cni.errors import CniError, Code, InvalidConfig
from cni.ipam import AddressStore, Range
from cni.spec import VALID_ATTACHMENTS, IPConfig, Result, RouteConfig

DEFAULT_DIRECTORY = "/var/lib/cni/networks"


class HostLocal:
    """The IPAM plugin."""

    def add(self, call: Call) -> Result:
        """Takes one address of each set of ranges; none of them if one set is exhausted."""
        ipam = _ipam(call)
        store = _store(call)
        sets = _range_sets(call)
        wanted = _wanted(call)
        owner = (call.container_id, call.ifname)
        ips = []
        with ExitStack() as undo:
            undo.callback(store.release, owner)
            for index, ranges in enumerate(sets):
                asked = next((address for address in wanted if any(address in each for each in ranges)), None)
                wanted = [address for address in wanted if address != asked]
                address, taken = store.reserve(owner, ranges, index=index, wanted=asked)
                ips.append(IPConfig(f"{address}/{taken.subnet.prefixlen}", str(taken.gateway)))
            if wanted:
                asked_for = ", ".join(map(str, wanted))
                raise CniError(Code.NO_ADDRESS_LEFT, f"requested IP addresses are in no range: {asked_for}")
            undo.pop_all()
        return Result(ips=tuple(ips), routes=_routes(ipam))

    def delete(self, call: Call) -> None:
        """Frees what the container holds."""
        _store(call).release((call.container_id, call.ifname))

    def check(self, call: Call) -> None:
        """Raises if the container holds no address."""
        if not _store(call).holds((call.container_id, call.ifname)):
            raise CniError(Code.CHECK_FAILED, f"host-local: no address is held by container {call.container_id}")

    def gc(self, call: Call) -> None:
        """Frees what belongs to no valid attachment."""
        valid = call.config.get(VALID_ATTACHMENTS) or ()
        _store(call).keep_only((item["containerID"], item["ifname"]) for item in valid)

    def status(self, call: Call) -> None:
        """Raises if the configuration is wrong or its directory cannot be written to."""
        _range_sets(call)
        store = _store(call)
        store.ensure()
        directory = Path(_ipam(call).get("dataDir", DEFAULT_DIRECTORY))
        if not os.access(directory, os.W_OK):
            raise CniError(Code.NOT_AVAILABLE, f"host-local: {directory} cannot be written to")


def _ipam(call: Call) -> Mapping[str, Any]:
    ipam = call.config.get("ipam")
    if not isinstance(ipam, dict):
        raise InvalidConfig("ipam", ipam, "an object is needed")
    return ipam


def _store(call: Call) -> AddressStore:
    return AddressStore(Path(_ipam(call).get("dataDir", DEFAULT_DIRECTORY)) / call.network)


def _range_sets(call: Call) -> list[list[Range]]:
    ipam = _ipam(call)
    written = [*(call.config.get("runtimeConfig", {}).get("ipRanges") or ()), *(ipam.get("ranges") or ())]
    if "subnet" in ipam:
        written.insert(0, [ipam])
    if not written or not all(isinstance(ranges, Sequence) and ranges for ranges in written):
        raise InvalidConfig("ipam.ranges", ipam.get("ranges"), "at least one list of ranges is needed")
    sets = [[_range(each) for each in ranges] for ranges in written]
    if len(written) == len(written[0]) == 1:
        return sets
    every = [each for ranges in sets for each in ranges]
    for number, each in enumerate(every):
        for other in every[number + 1 :]:
            if each.start <= other.end and other.start <= each.end:
                raise InvalidConfig("ipam.ranges", f"{each.subnet}", f"it overlaps {other.subnet}")
    return sets


def _range(written: Mapping[str, Any]) -> Range:
    fields = [str(written.get(name) or "") for name in ("subnet", "gateway", "rangeStart", "rangeEnd")]
    try:
        return _parsed_range(*fields)
    except (AddressValueError, NetmaskValueError, ValueError, IndexError) as error:
        raise InvalidConfig("ipam.ranges", dict(written), f"subnet, rangeStart, rangeEnd, gateway: {error}") from error


@functools.lru_cache(maxsize=64)
def _parsed_range(subnet: str, gateway: str, start: str, end: str) -> Range:
    network = IPv4Network(subnet)
    made = Range(
        network,
        start=IPv4Address(start or network[1]),
        end=IPv4Address(end or network[-2]),
        gateway=IPv4Address(gateway or network[1]),
    )
    if made.start not in network or made.end not in network or made.end < made.start:
        raise ValueError(f"{made.start}-{made.end} has to lie in {network} and not to end before it starts")
    return made


def _routes(ipam: Mapping[str, Any]) -> tuple[RouteConfig, ...]:
    return tuple(RouteConfig(route["dst"], route.get("gw", "")) for route in ipam.get("routes") or ())


def _wanted(call: Call) -> list[IPv4Address]:
    written = [call.args["IP"]] if call.args.get("IP") else []
    written += call.config.get("args", {}).get("cni", {}).get("ips") or ()
    written += call.config.get("runtimeConfig", {}).get("ips") or ()
    try:
        return [IPv4Interface(each).ip for each in dict.fromkeys(written)]
    except ValueError as error:
        raise InvalidConfig("ips", written, "IPv4 addresses are needed") from error


PLUGIN = HostLocal()

if __name__ == "__main__":
    from cni.plugins.runner import run

    raise SystemExit(run(PLUGIN))
