"""From a URL path to what it names: a resource, a group's documents, or something else."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.api.scheme import Scheme
from controlplane.api.types import Kind

NAMESPACE_SUBRESOURCES = ("finalize", "status")


@dataclass(frozen=True, slots=True)
class Target:
    """A resource in a request: `name` is "" for a collection, `namespace` "" for all or none."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    legacy_watch: bool = False


def resource_target(scheme: Scheme, path: str) -> Target | None:
    """The resource at /api/v1/... or /apis/GROUP/VERSION/...; None when the path names none."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        prefix = 2
        group = ""
    elif parts[0] == "apis" and len(parts) > 2:
        prefix = 3
        group = parts[1]
    else:
        return None
    if len(parts) <= prefix:
        return None
    version, parts = parts[prefix - 1], parts[prefix:]
    legacy_watch = parts[0] == "watch" and len(parts) > 1
    if legacy_watch:
        parts = parts[1:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and not (len(parts) == 3 and parts[2] in NAMESPACE_SUBRESOURCES):
        namespace, parts = parts[1], parts[2:]
    kind = scheme.resource(group, version, parts[0])
    if kind is None or (namespace and not kind.namespaced):
        return None
    name, subresource = (*parts[1:3], "", "")[:2]
    if name and kind.namespaced and not namespace:
        return None
    return Target(kind, namespace, name, subresource, "/".join(parts[3:]), legacy_watch)
