"""The rules behind `ipMasq`, in the shape of upstream's: a chain per container, named by a hash.

What a container sends outside of its subnet gets the address of the way out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from ipaddress import IPv4Interface

from netsim import firewall


def chain_name(network: str, container_id: str) -> str:
    """The container's chain."""
    return "CNI-" + hashlib.sha512(f"{network}{container_id}".encode()).hexdigest()[:24]


def ensure(network: str, container_id: str, addresses: Sequence[str]) -> None:
    """The rules of a container with these addresses ("10.44.1.2/24"), in place of any that it has."""
    remove(network, container_id)
    chain, comment = chain_name(network, container_id), f'name: "{network}" id: "{container_id}"'.replace('"', '\\"')
    lines = ["*nat", f":{chain} - [0:0]"]
    for each in map(IPv4Interface, addresses):
        lines += [
            f'-A {chain} -d {each.network} -m comment --comment "{comment}" -j ACCEPT',
            f'-A {chain} ! -d 224.0.0.0/4 -m comment --comment "{comment}" -j MASQUERADE',
            f'-A POSTROUTING -s {each.ip}/32 -m comment --comment "{comment}" -j {chain}',
        ]
    firewall.restore("\n".join([*lines, "COMMIT", ""]))


def remove(network: str, container_id: str) -> None:
    """Takes a container's rules away; none is no error."""
    chain = chain_name(network, container_id)
    rules = firewall.save("nat")
    if f":{chain} " not in rules:
        return
    jumps = [f"-D{line[2:]}" for line in re.findall(rf"^-A POSTROUTING .*-j {chain}$", rules, re.MULTILINE)]
    firewall.restore("\n".join(["*nat", *jumps, f"-F {chain}", f"-X {chain}", "COMMIT", ""]))
