"""The rules that lead ports of the namespace to a container, in the shape of upstream's portmap.

A chain per container, `CNI-DN-` and a hash, reached from `CNI-HOSTPORT-DNAT`; what would come back past the translation
(a container reaching itself or its neighbour, a local client) gets a mark, and behind it the address of the way out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface

from netsim import firewall
from netsim.errors import RulesRejected

TOP, MARKING, MASQUERADING = "CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ"
_LONGEST_CHAIN = 28
_MOST_PORTS = 15
"""What the multiport match takes."""
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A port of the namespace and the container's port behind it; `host_ip` empty for every local address."""

    host_port: int
    container_port: int
    protocol: str
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose ports they are."""

    network: str
    container_id: str

    @property
    def chain(self) -> str:
        """The container's chain."""
        digest = hashlib.sha512(f"{self.network}{self.container_id}".encode()).hexdigest()
        return f"CNI-DN-{digest}"[:_LONGEST_CHAIN]

    @property
    def comment(self) -> str:
        """What the rules say of themselves, quoted for a rule file."""
        text = f'dnat name: "{self.network}" id: "{self.container_id}"'.replace('"', '\\"')
        return f'-m comment --comment "{text}"'


def ensure(owner: Owner, address: str, mappings: Sequence[PortMapping], *, snat: bool, mark_bit: int) -> None:
    """Leads the ports to the container with that address ("10.44.1.2/24"), in place of what the container had.

    With `snat` local clients and containers of the same subnet reach it by the port too; `mark_bit` is the bit of the
    packet's mark that is used for them.
    """
    for attempt in range(_ATTEMPTS):
        remove(owner)
        present = firewall.save("nat")
        lines = [*_shared(present, mark_bit), *_own(owner, address, mappings, snat)]
        try:
            firewall.restore("\n".join(["*nat", *lines, "COMMIT", ""]))
        except RulesRejected:
            # Someone else's ADD made the shared chains at this moment.
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def remove(owner: Owner) -> None:
    """Takes a container's rules away; none is no error."""
    rules = firewall.save("nat")
    if f":{owner.chain} " not in rules:
        return
    jumps = [f"-D{line[2:]}" for line in re.findall(rf"^-A {TOP} .*-j {owner.chain}$", rules, re.MULTILINE)]
    firewall.restore("\n".join(["*nat", *jumps, f"-F {owner.chain}", f"-X {owner.chain}", "COMMIT", ""]))


def keep_only(network: str, container_ids: Container[str]) -> None:
    """Takes away the rules of all other containers of a network."""
    described = re.compile(rf'^-A {TOP} .*name: \\"{re.escape(network)}\\" id: \\"([^"\\]+)\\"', re.MULTILINE)
    for container_id in set(described.findall(firewall.save("nat"))):
        if container_id not in container_ids:
            remove(Owner(network, container_id))


def find(owner: Owner) -> list[str]:
    """The rules of the container's chain, in iptables-save form."""
    return re.findall(rf"^-A {owner.chain} .*$", firewall.save("nat"), re.MULTILINE)


def _shared(present: str, mark_bit: int) -> list[str]:
    mark = f"{1 << mark_bit:#x}/{1 << mark_bit:#x}"
    local = f"-m addrtype --dst-type LOCAL -j {TOP}"
    lines = []
    if f":{TOP} " not in present:
        lines += [f"-N {TOP}", f"-A PREROUTING {local}", f"-A OUTPUT {local}"]
    if f":{MARKING} " not in present:
        comment = '-m comment --comment "CNI portfwd masquerade mark"'
        lines += [f"-N {MARKING}", f"-A {MARKING} {comment} -j MARK --set-xmark {mark}"]
    if f":{MASQUERADING} " not in present:
        comment = '-m comment --comment "CNI portfwd requiring masquerade"'
        lines += [f"-N {MASQUERADING}", f"-A {MASQUERADING} -m mark --mark {mark} -j MASQUERADE"]
        lines += [f"-A POSTROUTING {comment} -j {MASQUERADING}"]
    return lines


def _own(owner: Owner, address: str, mappings: Sequence[PortMapping], snat: bool) -> list[str]:
    lines = [f"-N {owner.chain}"]
    for protocol in sorted({mapping.protocol for mapping in mappings}):
        ports = sorted({mapping.host_port for mapping in mappings if mapping.protocol == protocol})
        for start in range(0, len(ports), _MOST_PORTS):
            listed = ",".join(map(str, ports[start : start + _MOST_PORTS]))
            lines.append(f"-A {TOP} -p {protocol} {owner.comment} -m multiport --dports {listed} -j {owner.chain}")
    container = IPv4Interface(address)
    for mapping in mappings:
        destination = f" -d {mapping.host_ip}" if mapping.host_ip else ""
        match = f"{destination} -p {mapping.protocol} -m {mapping.protocol} --dport {mapping.host_port}"
        for source in (str(container.network), "127.0.0.1/32") if snat else ():
            lines.append(f"-A {owner.chain} -s {source}{match} -j {MARKING}")
        lines.append(f"-A {owner.chain}{match} -j DNAT --to-destination {container.ip}:{mapping.container_port}")
    return lines
