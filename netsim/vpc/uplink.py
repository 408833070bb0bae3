"""The one link between a cluster and its host, and all that a cluster changes in the host's own namespace.

That is: a veth with an address, the routes that leave by it, one nft table with a NAT rule and one that keeps in what
has no way out, and the `forwarding` sysctl of two links. Each is marked by the link's ifalias or by the rule's comment.
What a sysctl was before is noted in the alias before it is changed, so it can be put back by anyone at any time.
"""

from __future__ import annotations

import errno
import itertools
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from ipaddress import IPv4Network
from pathlib import Path

from netsim import address, firewall, hostlock, link, offload, route, syscalls, sysctl
from netsim.errors import AlreadyExists, NotFound, RangeConflict
from netsim.link import Link
from netsim.mark import Mark
from netsim.names import fitted, hardware_address
from netsim.netlink import Netlink
from netsim.route import Route
from netsim.vpc.plan import UPLINK, VpcPlan
from netsim.vpc.policy import DEFAULT_PRIORITY

ROLE = "uplink"
LINK_POOL = IPv4Network("169.254.64.0/18")
"""Where the /30 of a cluster's host link is taken from: link-local, so that nobody routes it."""
_TABLE_PREFIX = "netsim-"
_EVERYWHERE = "0.0.0.0/0"


def host_link_name(cluster: str) -> str:
    """The name of the host's end of a cluster's uplink."""
    return fitted(f"ns-{cluster}")


def table_name(cluster: str) -> str:
    """The name of a cluster's nft table in the host."""
    return f"{_TABLE_PREFIX}{cluster}"


def host_locked() -> AbstractContextManager[None]:
    """Only one process at a time changes what clusters share in the host. Raises `LockTimeout`."""
    return hostlock.held(Path("/run"))


def ensure_uplink(host: Netlink, router: Netlink, plan: VpcPlan) -> None:
    """The link, the addresses, the routes on both sides, and the way out if the plan has one."""
    name = host_link_name(plan.cluster)
    with host_locked():
        found = link.find_link(host, name)
        if found is None:
            network = choose_host_link(host, plan)
            _create_link(host, plan, name)
            found = link.get_link(host, name)
            address.ensure_address(host, found.index, f"{network[1]}/30")
        elif _mark_of(found, plan.cluster) is None:
            raise AlreadyExists(f"create link {name}", errno.EEXIST, "the host has one that is not netsim's")
        network = _network_of(host, found) or choose_host_link(host, plan)
        host.send(link.change(name, up=True, mtu=plan.mtu))
        address.ensure_address(host, found.index, f"{network[1]}/30")
        if not plan.offloads:
            offload.turn_off(name)
        _ensure_router_side(router, plan, network)
        _ensure_host_routes(host, plan, found.index, str(network[2]))
        if plan.has_egress:
            _ensure_forwarding(host, plan.cluster)
        _ensure_rules(plan, network)


def sync_load_balancers(host: Netlink, plan: VpcPlan, addresses: Iterable[str]) -> None:
    """A route by the uplink to each load-balancer address that is in use, and none to the others.

    A route to the whole range would cut the host off from whatever it reaches there by its default route.
    """
    end = link.find_link(host, host_link_name(plan.cluster))
    network = _network_of(host, end) if end is not None else None
    if end is None or network is None:
        return
    index, gateway = end.index, str(network[2])
    wanted = [Route(f"{each}/32", (gateway,), index=index, protocol=route.BALANCER_PROTOCOL) for each in addresses]
    route.reconcile(host, wanted, lambda found: found.protocol == route.BALANCER_PROTOCOL and found.index == index)


def release(host: Netlink, cluster: str) -> list[str]:
    """Puts the host back as it was before the cluster; returns what was done, in words."""
    done = []
    with host_locked():
        links = {found.ifname: mark for found in link.list_links(host) if (mark := _mark_of(found)) is not None}
        others = {device for mark in links.values() if mark.cluster != cluster for device in _notes(mark)}
        for ifname, mark in links.items():
            if mark.cluster != cluster:
                continue
            for device, value in _notes(mark).items():
                if device not in others and _restore_forwarding(device, value):
                    done.append(f"sysctl net.ipv4.conf.{device}.forwarding")
            link.delete_link(host, ifname)
            done.append(f"link {ifname}")
        if _delete_table(cluster):
            done.append(f"nft table {table_name(cluster)}")
    return done


def marked_tables() -> dict[str, str]:
    """The nft tables in the calling thread's namespace that carry a mark of ours, by name, with their cluster."""
    if not firewall.has_nft():
        return {}
    found: dict[str, str] = {}
    for family, name in firewall.list_nft_tables():
        if family == "ip" and name.startswith(_TABLE_PREFIX):
            for comment in re.findall(r'comment "([^"]*)"', firewall.find_nft_table(family, name) or ""):
                mark = Mark.parse(comment)
                if mark is not None and table_name(mark.cluster) == name:
                    found[name] = mark.cluster
    return found


def choose_host_link(host: Netlink, plan: VpcPlan) -> IPv4Network:
    """The plan's /30, or the first of the pool that no route and no address of the host touches."""
    if plan.host_link:
        return IPv4Network(plan.host_link)
    # A route to far more than the pool, such as a default, is no claim to it.
    claims = [IPv4Network(found.destination) for found in route.list_routes(host, table=None)]
    claims = [claim for claim in claims if claim.prefixlen > LINK_POOL.prefixlen]
    for candidate in itertools.islice(LINK_POOL.subnets(new_prefix=30), 4096):
        if not any(candidate.overlaps(claim) for claim in claims):
            return candidate
    raise RangeConflict(f"no /30 of {LINK_POOL} is free for the link between the host and cluster {plan.cluster}")


def _create_link(host: Netlink, plan: VpcPlan, name: str) -> None:
    with syscalls.opened(str(plan.router_path)) as inside:
        pair = link.new_veth(
            name,
            UPLINK,
            mtu=plan.mtu,
            peer_netns=inside,
            address=hardware_address(plan.cluster, "host"),
            peer_address=hardware_address(plan.cluster, UPLINK),
        )
        host.send(pair, link.change(name, alias=Mark(plan.cluster, ROLE, "host").alias()))


def _network_of(host: Netlink, found: Link) -> IPv4Network | None:
    addresses = address.list_addresses(host, found.index)
    return addresses[0].interface.network if addresses else None


def _ensure_router_side(router: Netlink, plan: VpcPlan, network: IPv4Network) -> None:
    end = link.get_link(router, UPLINK)
    router.send(
        link.change(UPLINK, up=True, mtu=plan.mtu),
        address.new_address(end.index, f"{network[2]}/30", replace=True),
    )
    way = Route(
        _EVERYWHERE, (str(network[1]),), index=end.index, protocol=route.UPLINK_PROTOCOL, metric=DEFAULT_PRIORITY
    )
    route.reconcile(router, [way], lambda found: found.protocol == route.UPLINK_PROTOCOL)


def _ensure_host_routes(host: Netlink, plan: VpcPlan, index: int, gateway: str) -> None:
    wanted = [Route(each, (gateway,), index=index) for each in plan.host_ranges]
    route.reconcile(host, wanted, lambda found: found.protocol == route.PROTOCOL and found.index == index)


def _ensure_forwarding(host: Netlink, cluster: str) -> None:
    """Lets packets pass between our link and the host's way out, and notes what was there before."""
    devices = {found.index: found.ifname for found in link.list_links(host)}
    ours = host_link_name(cluster)
    for way in route.list_routes(host):
        device = devices.get(way.index, "")
        if way.destination == _EVERYWHERE and device and sysctl.find(_forwarding(device)) is not None:
            _note_forwarding(host, cluster, device)
            sysctl.ensure(_forwarding(device), 1)
    sysctl.ensure(_forwarding(ours), 1)


def _note_forwarding(host: Netlink, cluster: str, device: str) -> None:
    marks = [mark for found in link.list_links(host) if (mark := _mark_of(found)) is not None]
    own = next(mark for mark in marks if mark.cluster == cluster)
    if device in _notes(own):
        return
    # If another cluster changed it, what it was before that one counts.
    before = next((_notes(mark)[device] for mark in marks if device in _notes(mark)), sysctl.read(_forwarding(device)))
    if before == "1":
        return
    notes = _notes(own) | {device: before}
    note = ";".join(f"{name}:{value}" for name, value in notes.items())
    host.send(link.change(host_link_name(cluster), alias=Mark(own.cluster, own.role, own.name, note).alias()))


def _restore_forwarding(device: str, value: str) -> bool:
    with suppress(NotFound):
        return sysctl.ensure(_forwarding(device), value)
    return False


def _ensure_rules(plan: VpcPlan, network: IPv4Network) -> None:
    ours, table = host_link_name(plan.cluster), table_name(plan.cluster)
    out = [each for subnet in plan.subnets if plan.egress and subnet.egress for each in plan.ranges_of(subnet)]
    kept = [each for subnet in plan.subnets for each in plan.ranges_of(subnet) if each not in out]
    chains = []
    if out:
        chains.append(
            _chain(
                "postrouting",
                "type nat hook postrouting priority srcnat",
                f'ip saddr {{ {", ".join([str(network), *out])} }} oifname != "{ours}" counter masquerade'
                f' comment "{Mark(plan.cluster, ROLE, "nat").alias()}"',
            )
        )
    if kept:
        # A host that forwards anyway would send them on with addresses that nobody can answer.
        chains.append(
            _chain(
                "forward",
                "type filter hook forward priority filter",
                f'iifname "{ours}" ip saddr {{ {", ".join(kept)} }} ct state new counter drop'
                f' comment "{Mark(plan.cluster, ROLE, "no-egress").alias()}"',
            )
        )
    # Declared, deleted, declared: in one transaction that replaces the table whether or not it was there.
    firewall.nft(f"table ip {table}\ndelete table ip {table}\ntable ip {table} {{\n{''.join(chains)}}}\n")


def _chain(name: str, hook: str, rule: str) -> str:
    return f"  chain {name} {{\n    {hook}; policy accept;\n    {rule}\n  }}\n"


def _delete_table(cluster: str) -> bool:
    if cluster not in marked_tables().values():
        return False
    firewall.nft(f"delete table ip {table_name(cluster)}\n")
    return True


def _forwarding(device: str) -> str:
    return f"net.ipv4.conf.{device.replace('.', '/')}.forwarding"


def _mark_of(found: Link, cluster: str | None = None) -> Mark | None:
    mark = Mark.parse(found.alias)
    if mark is None or mark.role != ROLE or cluster not in (None, mark.cluster):
        return None
    return mark


def _notes(mark: Mark) -> dict[str, str]:
    """What the alias says of links' `forwarding` before: "eth0:0;wlan0:0"; a link's name holds no colon."""
    return dict(entry.rsplit(":", 1) for entry in mark.note.split(";") if ":" in entry)
