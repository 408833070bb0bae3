"""Names in capture filters: `host pod/web and port 80`, `net subnet/default`, `src service/db`."""

from __future__ import annotations

import re
from collections.abc import Callable

from controlplane.config import ResolvedCluster
from workbench.places.addresses import addresses_of
from workbench.places.selection import NoSuchPlace, Selection

_NAMED = re.compile(
    r"(?:\b(?P<direction>src(?:\s+(?:or|and)\s+dst)?|dst(?:\s+(?:or|and)\s+src)?)\s+)?"
    r"(?:\b(?:host|net)\s+)?"
    r"(?P<name>(?:[a-z0-9.-]+/)?[a-z]+/[a-z0-9.*-]+)(?=[\s)]|$)"
)
_CIDR = re.compile(r"[\d.]+/\d+")


def with_names(text: str, select: Callable[[str], Selection], cluster: ResolvedCluster) -> str:
    """The filter with addresses where names were. Raises `NoSuchPlace`."""

    def replaced(match: re.Match[str]) -> str:
        if _CIDR.fullmatch(match["name"]):
            return match[0]
        direction = f"{match['direction']} " if match["direction"] else ""
        terms = [f"{direction}{term}" for term in _terms(match["name"], select, cluster)]
        if not terms:
            raise NoSuchPlace(f"{match['name']} has no address at this moment")
        return f"({' or '.join(terms)})"

    return _NAMED.sub(replaced, text)


def _terms(name: str, select: Callable[[str], Selection], cluster: ResolvedCluster) -> list[str]:
    kind, _, last = name.rpartition("/")
    if kind == "subnet":
        return [f"net {subnet.range}" for subnet in cluster.subnets if subnet.name == last]
    selection = select(name)
    addresses = [pod["status"]["podIP"] for pod in selection.pods]
    addresses += [str(node.address) for node in cluster.nodes if node.name in selection.nodes]
    addresses += addresses_of(selection.service) if selection.service is not None else []
    return [f"host {address}" for address in dict.fromkeys(addresses)]
