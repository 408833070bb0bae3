"""What the kernel can do, found out by doing it in a namespace that nobody else sees."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netsim import firewall, link, loop, programs, syscalls
from netsim.errors import CommandFailed, NetsimError, NotFound
from netsim.netlink import Netlink
from netsim.probe.check import Check
from netsim.route import Route, new_route

_NAT = """table ip probe {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr 10.0.0.0/8 oifname != "lo" counter masquerade comment "probe"
  }
}
"""
_VPC_RULES = """table ip probe-vpc {
  counter probe { }
  chain forward {
    type filter hook forward priority filter;
    ct state established,related counter name probe accept
  }
}
"""
_SERVICE_RULES = """*nat
:PROBE - [0:0]
-A PROBE -m comment --comment x -m addrtype --dst-type LOCAL -m statistic --mode random --probability 0.5 -j RETURN
-A PROBE -p tcp -m tcp -j DNAT --to-destination 10.0.0.1:80
-A PROBE -m mark ! --mark 0x4000/0x4000 -j RETURN
-A PROBE -j MARK --xor-mark 0x4000
-A PROBE -j MASQUERADE --random-fully
COMMIT
*filter
:PROBE - [0:0]
-A PROBE -m conntrack --ctstate INVALID -j DROP
-A PROBE -p tcp -j REJECT --reject-with icmp-port-unreachable
COMMIT
"""


@dataclass(frozen=True, slots=True)
class _Feature:
    name: str
    purpose: str
    config: str
    attempt: Callable[[Netlink], object]
    required: bool = True


def features() -> list[Check]:
    """A check for each feature."""
    return _in_throw_away_namespace(_FEATURES)


def required() -> list[Check]:
    """A check for each feature that no cluster comes up without."""
    return _in_throw_away_namespace([feature for feature in _FEATURES if feature.required])


def has_netem() -> bool:
    """Whether links can be delayed and lossy."""
    (check,) = _in_throw_away_namespace([each for each in _FEATURES if each.name == "netem"])
    return check.ok


def _in_throw_away_namespace(wanted: Sequence[_Feature]) -> list[Check]:
    found: list[Check] = []
    failure: list[BaseException] = []

    def look() -> None:
        try:
            found.extend(_looked(wanted))
        except BaseException as error:  # noqa: BLE001 - raised again below: else what was not looked at would pass
            failure.append(error)

    # The namespace goes with the thread.
    thread = threading.Thread(target=look, name="probe")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return found


def _looked(wanted: Sequence[_Feature]) -> list[Check]:
    """Takes the calling thread into a namespace of its own, for good."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
    except NetsimError as error:
        return [_check(_NAMESPACES, error)]
    with Netlink() as netlink:
        netlink.send(link.change("lo", up=True))
        return [_try(feature, netlink) for feature in wanted]


def _try(feature: _Feature, netlink: Netlink) -> Check:
    try:
        feature.attempt(netlink)
    except NetsimError as error:
        return _check(feature, error)
    return _check(feature, None)


def _check(feature: _Feature, error: NetsimError | None) -> Check:
    return Check(
        name=feature.name,
        ok=error is None,
        found="works" if error is None else _words(error),
        needed=feature.purpose,
        remedy=f"use a kernel with {feature.config}, as Debian's and Ubuntu's are",
        required=feature.required,
    )


def _words(error: NetsimError) -> str:
    """In one line: of a program that failed, the first that it printed says what the kernel refused."""
    if isinstance(error, CommandFailed):
        printed = next((line.strip() for line in (error.stderr + error.stdout).splitlines() if line.strip()), "")
        return f"`{' '.join(error.argv)}` exited with status {error.status}" + (f": {printed}" if printed else "")
    return str(error).partition("\n")[0]


def _veth(netlink: Netlink) -> None:
    netlink.send(link.new_veth("probe0", "probe1", mtu=1460))


def _bridge(netlink: Netlink) -> None:
    netlink.send(link.new_bridge("probe2", address="0a:58:00:00:00:01", mtu=1460))


def _vxlan(netlink: Netlink) -> None:
    netlink.send(link.new_vxlan("probe3", vni=1, port=8472))


def _multipath(netlink: Netlink) -> None:
    netlink.send(new_route(Route("203.0.113.1/32", ("192.0.2.1", "192.0.2.2"), index=1, onlink=True)))


def _nat(_netlink: Netlink) -> None:
    firewall.nft(_NAT)


def _vpc_rules(_netlink: Netlink) -> None:
    firewall.nft(_VPC_RULES)


def _htb(_netlink: Netlink) -> None:
    _tc("qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb")
    _tc("qdisc", "del", "dev", "lo", "root")


def _service_rules(_netlink: Netlink) -> None:
    firewall.restore(_SERVICE_RULES)


def _bridge_filter(_netlink: Netlink) -> None:
    if not Path("/proc/sys/net/bridge").exists():
        _require_module("br_netfilter")


def _overlay(_netlink: Netlink) -> None:
    if not any(line.split()[-1] == "overlay" for line in Path("/proc/filesystems").read_text().splitlines()):
        _require_module("overlay")


def _loop(_netlink: Netlink) -> None:
    if not loop.is_available():
        raise NotFound("find loop devices", errno.ENODEV, "volumes are plain directories without")


def _netem(_netlink: Netlink) -> None:
    _tc("qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")


def _ipset(_netlink: Netlink) -> None:
    firewall.restore_sets("".join(f"create probe-{kind} hash:{kind} comment\n" for kind in ("ip", "net", "ip,port")))
    firewall.restore("*filter\n-A FORWARD -m set --match-set probe-ip src -j DROP\nCOMMIT\n")


def _tc(*arguments: str) -> None:
    firewall.run([programs.require("tc", "iproute2"), *arguments])


def _require_module(name: str) -> None:
    firewall.run([programs.require("modprobe", "kmod"), "--dry-run", name])


_NAMESPACES = _Feature("network namespaces", "every node and pod is one", "CONFIG_NET_NS", _veth)
_FEATURES = (
    _Feature("veth", "the NIC of every node and pod", "CONFIG_VETH", _veth),
    _Feature("bridge", "subnets, and cbr0 in nodes", "CONFIG_BRIDGE", _bridge),
    _Feature("bridge filtering", "Services between pods of one node", "CONFIG_BRIDGE_NETFILTER", _bridge_filter),
    _Feature("multipath routes", "load-balancer addresses", "CONFIG_IP_ROUTE_MULTIPATH", _multipath),
    _Feature("nftables NAT", "the way out to the host's uplink", "CONFIG_NF_TABLES and CONFIG_NFT_MASQ", _nat),
    _Feature("nftables counters", "the VPC's firewall", "CONFIG_NFT_OBJREF and CONFIG_NFT_CT", _vpc_rules),
    _Feature(
        "iptables matches", "the rules of Services", "CONFIG_NFT_COMPAT and CONFIG_NETFILTER_XT_*", _service_rules
    ),
    _Feature("overlayfs", "the root file systems of containers", "CONFIG_OVERLAY_FS", _overlay),
    _Feature("vxlan", "pod networks in vxlan mode", "CONFIG_VXLAN", _vxlan, required=False),
    _Feature("ipset", "network policies", "CONFIG_IP_SET_HASH_* and CONFIG_NETFILTER_XT_SET", _ipset, required=False),
    _Feature("loop devices", "volumes of a size that is enforced", "CONFIG_BLK_DEV_LOOP", _loop, required=False),
    _Feature("htb", "rates between regions and zones", "CONFIG_NET_SCH_HTB", _htb, required=False),
    _Feature("netem", "delay and loss on links", "CONFIG_NET_SCH_NETEM", _netem, required=False),
)
