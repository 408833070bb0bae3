"""Name: bandwidth

Description: limits what a container sends and gets. It comes behind a plugin that made a veth pair: what the container
gets waits in a token bucket on the pair's outer end, what it sends in one on an ifb link that stands behind that end.

Syntax:
    ingressRate, ingressBurst    to the container, bits a second and bits
    egressRate, egressBurst      from the container
    capabilities                 {"bandwidth": true}; the runtime then says the same four
A rate of 0 is no limit; a rate needs a burst, and the other way round.
`shapedSubnets` and `unshapedSubnets` are refused by name.

Example: {"type": "bandwidth", "capabilities": {"bandwidth": true}}
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from cni.call import Call
from cni.errors import CniError, Code, InvalidConfig, UnsupportedField
from cni.plugins.interface import differs, number
from cni.spec import Interface, Result
from netsim import link, token_bucket
from netsim.names import link_name
from netsim.netlink import Netlink
from netsim.token_bucket import TokenBucket

_REFUSED = ("shapedSubnets", "unshapedSubnets")
_HIGHEST_RATE = 1 << 50
_LARGEST_BURST = 0xFFFFFFFF
"""In bits; upstream's bound."""


@dataclass(frozen=True, slots=True)
class _Limits:
    ingress: TokenBucket | None
    egress: TokenBucket | None

    def __bool__(self) -> bool:
        return self.ingress is not None or self.egress is not None


class Bandwidth:
    """The plugin."""

    def add(self, call: Call) -> Result:
        """The buckets; the result is the earlier plugins', and the ifb link."""
        limits = _read(call)
        if call.previous is None:
            raise CniError(Code.INVALID_CONFIG, "bandwidth has to come behind a plugin that makes an interface")
        if not limits:
            return call.previous
        host = call.surroundings.netlink()
        outer = _outer(host, call.previous)
        with ExitStack() as undo:
            if limits.ingress is not None:
                undo.callback(token_bucket.remove, outer)
                token_bucket.ensure(outer, limits.ingress)
            interfaces = call.previous.interfaces
            if limits.egress is not None:
                undo.callback(link.delete_link, host, _ifb(call))
                interfaces += (_limit_egress(host, outer, _ifb(call), limits.egress),)
            undo.pop_all()
        return replace(call.previous, interfaces=interfaces)

    def delete(self, call: Call) -> None:
        """Takes the ifb link away; the rest goes with the pair."""
        if _read(call):
            link.delete_link(call.surroundings.netlink(), _ifb(call))

    def check(self, call: Call) -> None:
        """Raises if a bucket is not there or of another rate."""
        limits = _read(call)
        outer = _outer(call.surroundings.netlink(), call.previous or Result())
        for place, wanted in ((outer, limits.ingress), (_ifb(call), limits.egress)):
            if wanted is not None and (found := token_bucket.find_rate(place)) != wanted.rate:
                raise differs(f"the rate of {place} is {found}, not {wanted.rate} bit/s")

    def gc(self, call: Call) -> None:
        """The runtime deletes each attachment that is gone, and with it its ifb link."""

    def status(self, call: Call) -> None:
        """Ready when the configuration is right."""
        _read(call)


def _read(call: Call) -> _Limits:
    for field in _REFUSED:
        if call.config.get(field):
            raise UnsupportedField(field, call.config[field])
    written = call.config.get("runtimeConfig", {}).get("bandwidth") or call.config
    return _Limits(_bucket(written, "ingress"), _bucket(written, "egress"))


def _bucket(written: Mapping[str, Any], direction: str) -> TokenBucket | None:
    rate = number(written, f"{direction}Rate", 8, _HIGHEST_RATE)
    burst = number(written, f"{direction}Burst", 8, _LARGEST_BURST)
    if bool(rate) != bool(burst):
        raise InvalidConfig(f"{direction}Rate", rate, f"{direction}Rate and {direction}Burst are set together")
    return TokenBucket(rate, burst) if rate else None


def _outer(host: Netlink, previous: Result) -> str:
    for each in reversed(previous.interfaces):
        found = None if each.sandbox else link.find_link(host, each.name)
        if found is not None and found.kind == "veth":
            return each.name
    raise CniError(Code.INVALID_CONFIG, "bandwidth: no plugin before it has made a veth pair")


def _limit_egress(host: Netlink, outer: str, ifb: str, bucket: TokenBucket) -> Interface:
    size = link.get_link(host, outer).mtu
    link.delete_link(host, ifb)
    host.send(link.new_ifb(ifb, mtu=size), link.change(ifb, up=True))
    token_bucket.ensure(ifb, bucket)
    token_bucket.redirect_received(outer, ifb)
    return Interface(ifb, link.get_link(host, ifb).address, size)


def _ifb(call: Call) -> str:
    return link_name("bwp", call.container_id, call.ifname)


PLUGIN = Bandwidth()

if __name__ == "__main__":
    from cni.plugins.runner import run

    raise SystemExit(run(PLUGIN))
