"""Names in capture filters: `host pod/web and port 80`, `net subnet/default`, `src service/db or pod/web`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from controlplane.config import ResolvedCluster
from workbench.places.addresses import addresses_of
from workbench.places.selection import NoSuchPlace, Selection

_PLACE = re.compile(
    r"(?P<qualifiers>(?:\b(?:ip|arp|rarp)\s+)?"
    r"(?:\b(?:src(?:\s+(?:or|and)\s+dst)?|dst(?:\s+(?:or|and)\s+src)?)\s+)?)"
    r"(?P<type>\b(?:host|net)\s+)?"
    r"(?<![\w./:-])(?:(?P<name>(?:[a-z0-9.-]+/)?[a-z]+/[a-z0-9.*-]+)|(?P<address>\d+\.[\d.]+(?:/\d+)?))(?=[\s)&|]|$)"
)
_ALSO = re.compile(r"\s*(?:or|and|&&|\|\|)\s*(?:not\s+|!\s*)?")


@dataclass(slots=True)
class _Before:
    """The place that was read last: where it ended, what stood before it, and whether addresses were put for it."""

    end: int = -1
    qualifiers: str = ""
    named: bool = False


def with_names(text: str, select: Callable[[str], Selection], cluster: ResolvedCluster) -> str:
    """The filter with addresses where names were. Raises `NoSuchPlace`.

    As between addresses, `src host pod/a or pod/b` means the source of both.
    """
    before = _Before()

    def replaced(match: re.Match[str]) -> str:
        alone = not match["qualifiers"] and not match["type"]
        goes_on = alone and before.end >= 0 and _ALSO.fullmatch(text, before.end, match.start()) is not None
        qualifiers = before.qualifiers if goes_on else match["qualifiers"]
        # Between addresses tcpdump itself goes on with what stood before.
        named = match["name"] is not None or (goes_on and before.named)
        before.end, before.qualifiers, before.named = match.end(), qualifiers, named
        return _written(qualifiers, _terms(match, select, cluster)) if named else match[0]

    return _PLACE.sub(replaced, text)


def _written(qualifiers: str, terms: list[str]) -> str:
    return "(" + " or ".join(f"{qualifiers}{term}" for term in terms) + ")"


def _terms(match: re.Match[str], select: Callable[[str], Selection], cluster: ResolvedCluster) -> list[str]:
    address, name = match["address"], match["name"]
    if address is not None:
        return [f"{'net' if '/' in address else 'host'} {address}"]
    selection = select(name)
    kind, _, last = name.rpartition("/")
    if kind == "subnet":
        return [f"net {subnet.range}" for subnet in cluster.subnets if subnet.name == last]
    addresses = [pod["status"]["podIP"] for pod in selection.pods]
    addresses += [str(node.address) for node in cluster.nodes if node.name in selection.nodes]
    addresses += addresses_of(selection.service) if selection.service is not None else []
    if not addresses:
        raise NoSuchPlace(f"{name} has no address at this moment")
    return [f"host {each}" for each in dict.fromkeys(addresses)]
