"""The documents by which clients learn what is served, all derived from the scheme.

Aggregated discovery (apidiscovery.k8s.io/v2) answers in one document per root; the older
APIVersions, APIGroupList and APIResourceList say the same for clients that do not ask for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.api.scheme import Scheme
from controlplane.api.subresources import SUBRESOURCES, body_of
from controlplane.api.types import Kind

AGGREGATED_MEDIA_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

Document = dict[str, Any]


def aggregated(scheme: Scheme, *, core: bool) -> Document:
    """The APIGroupDiscoveryList of /api (`core`) or of /apis."""
    groups = [group for group in scheme.groups() if (group == "") is core]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group} if group else {},
                "versions": [_discovered_version(scheme, group, version) for version in scheme.versions(group)],
            }
            for group in groups
        ],
    }


def api_versions(server_address: str) -> Document:
    """The APIVersions of /api; `server_address` is host and port as clients should reach them."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    }


def group_list(scheme: Scheme) -> Document:
    """The APIGroupList of /apis."""
    groups = [_group(scheme, group) for group in scheme.groups() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(scheme: Scheme, name: str) -> Document | None:
    """The APIGroup of /apis/NAME; None when it is not served."""
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group(scheme, name) if name in scheme.groups() else None


def resource_list(scheme: Scheme, group_name: str, version: str) -> Document | None:
    """The APIResourceList of one group and version; None when it is not served."""
    kinds = scheme.kinds(group_name, version)
    if not kinds:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": kinds[0].api_version,
        "resources": [resource for kind in kinds for resource in _resources(kind)],
    }


def discovered(document: Document) -> Iterable[Kind]:
    """The kinds of an APIGroupDiscoveryList, as far as a client needs to know them."""
    for group_document in document["items"]:
        for version in group_document["versions"]:
            for resource in version["resources"]:
                yield Kind(
                    group=group_document["metadata"].get("name", ""),
                    version=version["version"],
                    name=resource["responseKind"]["kind"],
                    plural=resource["resource"],
                    definition="",
                    namespaced=resource["scope"] == "Namespaced",
                    verbs=tuple(resource["verbs"]),
                    subresources=tuple(one["subresource"] for one in resource.get("subresources", ())),
                )


def _discovered_version(scheme: Scheme, group_name: str, version: str) -> Document:
    resources = [_discovered_resource(kind) for kind in scheme.kinds(group_name, version)]
    return {"version": version, "resources": resources, "freshness": "Current"}


def _discovered_resource(kind: Kind) -> Document:
    resource: Document = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.name},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    if kind.subresources:
        resource["subresources"] = [_discovered_subresource(kind, name) for name in sorted(kind.subresources)]
    return resource


def _discovered_subresource(kind: Kind, name: str) -> Document:
    group_name, version, body = body_of(kind, name)
    return {
        "subresource": name,
        "responseKind": {"group": group_name, "version": version, "kind": body},
        "verbs": list(SUBRESOURCES[name].verbs),
    }


def _group(scheme: Scheme, name: str) -> Document:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in scheme.versions(name)]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resources(kind: Kind) -> Iterable[Document]:
    resource: Document = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    yield resource
    for name in sorted(kind.subresources):
        group_name, version, body = body_of(kind, name)
        subresource: Document = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
        if (group_name, version) != (kind.group, kind.version):
            subresource |= {"group": group_name, "version": version}
        yield subresource | {"kind": body, "verbs": list(SUBRESOURCES[name].verbs)}
