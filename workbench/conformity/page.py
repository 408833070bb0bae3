"""docs/api.md: each operation of upstream's API, and whether this server has it.

Made from upstream's operations and from what this server publishes of itself, so the page cannot say
more than what clients are told. A test fails when the page in the tree is not what this makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from controlplane.api.openapi import document_v2
from controlplane.api.scheme import SCHEME, Scheme
from controlplane.api.unsupported import KINDS
from controlplane.api.version import KUBERNETES
from workbench.conformity.upstream import Operation, client_version, operations

Ours = Mapping[tuple[str, str], Mapping[str, Any]]

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update")
PLAIN = {"/.well-known/openid-configuration/", "/logs/", "/logs/{logpath}", "/openid/v1/jwks/", "/version/"}
SERVED_PLAIN = PLAIN - {"/logs/", "/logs/{logpath}"}

HEAD = """# The API

Everything that Kubernetes {kubernetes} serves by default, and whether netsim does. Made by `make docs` from the Python
client `kubernetes` {client}, which is generated from upstream's own description, and from what netsim publishes
at `/openapi/v2`. Paths of one resource, with and without a namespace, are one line.

**{served} of {total}** operations are there. Lists can be watched, by the parameter `watch` and at the older paths
with `/watch/` in them.
"""


class Line(NamedTuple):
    """One resource or subresource: its place, and its verbs there and here."""

    group: str
    resource: str
    kind: str
    wanted: frozenset[str]
    has: frozenset[str]


def page() -> str:
    """The whole page."""
    theirs = [one for one in operations() if _resource(one.path) is not None]
    ours = _ours(SCHEME)
    lines = _lines(theirs, ours)
    total, served = sum(len(one.wanted) for one in lines), sum(len(one.wanted & one.has) for one in lines)
    parts = [HEAD.format(kubernetes=KUBERNETES, client=client_version(), served=served, total=total)]
    parts.append(_parameters(theirs, ours))
    parts.append(_patches(theirs, ours))
    parts.append(_beyond(theirs))
    for group, found in groupby(lines, key=lambda line: line.group):
        parts.append(_group(group, list(found)))
    return "\n".join(parts)


def _ours(scheme: Scheme) -> Ours:
    paths = document_v2(scheme)["paths"]
    return {
        (path, method.upper()): operation | {"parameters": [*operation["parameters"], *item["parameters"]]}
        for path, item in paths.items()
        for method, operation in item.items()
        if method != "parameters"
    }


def _resource(path: str) -> tuple[str, str] | None:
    """Group version, and resource with subresource, of a path; None for one of no resource."""
    parts = path.strip("/").split("/")
    size = {"api": 2, "apis": 3}.get(parts[0])
    if size is None or len(parts) <= size or "{path}" in path:
        return None
    rest = parts[size:]
    if rest[0] == "namespaces" and len(rest) > 2 and rest[1] == "{namespace}":
        rest = rest[2:]
    names = [one for one in rest if not one.startswith("{")]
    return "/".join(parts[1:size]), "/".join(names)


def _lines(theirs: Iterable[Operation], ours: Ours) -> list[Line]:
    kinds = {(kind.api_version, kind.plural): kind.name for kind in SCHEME.served()}
    wanted: dict[tuple[str, str], set[str]] = {}
    has: dict[tuple[str, str], set[str]] = {}
    for one in theirs:
        place = _resource(one.path)
        assert place is not None
        wanted.setdefault(place, set()).add(one.verb)
        if (one.path, one.method) in ours:
            has.setdefault(place, set()).add(one.verb)
    return [
        Line(
            group,
            resource,
            kinds.get((group, resource.partition("/")[0]), ""),
            frozenset(wanted[group, resource]),
            frozenset(has.get((group, resource), ())),
        )
        for group, resource in sorted(wanted, key=_order)
    ]


def _order(place: tuple[str, str]) -> tuple[int, str, str]:
    """The core group first."""
    return (0 if "/" not in place[0] else 1, *place)


def _group(group: str, lines: list[Line]) -> str:
    text = [f"## {group}", "", "| resource | verbs | served |", "|---|---|---|"]
    text += [f"| `{one.resource}` | {_verbs(one.wanted)} | {_served(one)} |" for one in lines]
    return "\n".join([*text, ""])


def _verbs(verbs: Iterable[str]) -> str:
    found = set(verbs)
    if found >= set(VERBS):
        return "all"
    return ", ".join(verb for verb in VERBS if verb in found)


def _served(line: Line) -> str:
    missing = line.wanted - line.has
    if not line.has:
        return "no"
    if missing:
        return f"without {_verbs(missing)}"
    if line.kind in KINDS and "/" not in line.resource:
        return f"kept, with a warning: {KINDS[line.kind]}"
    return "yes"


def _parameters(theirs: Iterable[Operation], ours: Ours) -> str:
    """Query parameters by verb: those of subresources that are streams have lines of their own."""
    wanted: dict[str, set[str]] = {}
    has: dict[str, set[str]] = {}
    for one in theirs:
        operation = ours.get((one.path, one.method))
        if operation is None:
            continue
        mine = {parameter["name"] for parameter in operation["parameters"]}
        place = _resource(one.path)
        assert place is not None
        sub = place[1].partition("/")[2]
        name = sub if sub in ("attach", "exec", "log", "portforward", "proxy") else one.verb
        wanted.setdefault(name, set()).update(one.query)
        has.setdefault(name, set()).update(one.query & mine)
    text = ["## Query parameters", "", "| request | served | not served |", "|---|---|---|"]
    for name in sorted(wanted):
        missing = wanted[name] - has[name]
        text.append(f"| {name} | {_code(has[name])} | {_code(missing)} |")
    return "\n".join([*text, ""])


def _patches(theirs: Iterable[Operation], ours: Ours) -> str:
    """Media types of PATCH."""
    mine = {
        media for (_, method), operation in ours.items() if method == "PATCH" for media in operation.get("consumes", ())
    }
    wanted = sorted({media for one in theirs for media in one.patches})
    text = ["## Kinds of patches", "", "| media type | served |", "|---|---|"]
    text += [f"| `{media}` | {'yes' if media in mine else 'no'} |" for media in wanted]
    return "\n".join([*text, ""])


def _beyond(theirs: Iterable[Operation]) -> str:
    """Paths that are no resources."""
    text = ["## Paths that are no resources", "", "| path | served |", "|---|---|"]
    text += [f"| `{path}` | {'yes' if path in SERVED_PLAIN else 'no'} |" for path in sorted(PLAIN)]
    groups = {place[0] for one in theirs if (place := _resource(one.path)) is not None}
    missing = sorted(groups - {kind.api_version for kind in SCHEME.served()})
    text.append(
        f"| `/api`, `/apis` and the documents of each group and version | {_code(missing) if missing else 'yes'} |"
    )
    return "\n".join([*text, ""])


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
