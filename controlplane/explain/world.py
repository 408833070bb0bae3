"""What an explanation is made from, and what it is: plain data on both sides.

`World` is all that the functions of this package know of a cluster; the command line has one that asks the API and
the kernel, tests have one of literals. An explanation is a list of sections, each of which is text for people and a
value for `-o json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from controlplane.api.types import Kind, Object

MOST_NAMES = 12
"""Of what there is instead."""


class World(Protocol):
    """A cluster, looked at. What is asked twice is read once."""

    def objects(self, kind: Kind) -> Sequence[Object]:
        """Every object of a kind, of all namespaces; none if the kind is not served."""
        ...

    def nodes(self) -> Sequence[str]:
        """The nodes whose kernels can be looked at."""
        ...

    def dns_address(self) -> str:
        """Where the cluster's DNS answers."""
        ...

    def host_address(self) -> str:
        """The address with which the host is seen in the VPC."""
        ...

    def rules(self, node: str) -> str:
        """What `iptables-save -c` prints in the node."""
        ...

    def sets(self, node: str) -> str:
        """What `ipset save` prints in the node."""
        ...

    def attachment(self, uid: str) -> Mapping[str, Any] | None:
        """Where a pod is attached: `netns`, `port`, `bridge`, `addresses`, `routes`; None without a namespace of its
        own."""
        ...

    def denials(self) -> Sequence[str]:
        """The lines of the log of denied packets, oldest first."""
        ...

    def changes(self, node: str, applier: str) -> Mapping[str, Any] | None:
        """What an applier ("proxy" or "policy") of the node changed last; see `netsim.changes`."""
        ...


@dataclass(frozen=True, slots=True)
class Section:
    """One part of an explanation: `key` and `data` are its JSON, `title` and `lines` its text."""

    key: str
    title: str
    lines: list[str] = field(default_factory=list)
    data: Any = None


class NothingToExplain(LookupError):
    """There is no such object, chain or rule; the text says what there is instead."""


def find(world: World, kind: Kind, namespace: str, name: str) -> Object:
    """The object of that name; NothingToExplain names those that there are."""
    present = [obj for obj in world.objects(kind) if obj["metadata"].get("namespace", "") == namespace]
    for obj in present:
        if obj["metadata"]["name"] == name:
            return obj
    others = ", ".join(sorted(obj["metadata"]["name"] for obj in present)[:MOST_NAMES])
    where = f" in namespace {namespace}" if namespace else ""
    rest = f"; there is: {others}" if others else ", nor any other"
    raise NothingToExplain(f"there is no {kind.singular} {name}{where}{rest}")
