"""Extension API servers in discovery: their APIResourceLists in the documents of this server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Document = dict[str, Any]
Lists = Mapping[tuple[str, str], Document]
"""APIResourceLists by group and version, in order of preference."""


def add_to_aggregated(document: Document, lists: Lists) -> Document:
    """An APIGroupDiscoveryList with the groups and versions of `lists` as well."""
    items = list(document["items"])
    for (group, version), listed in lists.items():
        found = {"version": version, "resources": list(_discovered(group, version, listed)), "freshness": "Current"}
        for index, item in enumerate(items):
            if item["metadata"].get("name", "") == group:
                items[index] = item | {"versions": [*item["versions"], found]}
                break
        else:
            items.append({"metadata": {"name": group}, "versions": [found]})
    return document | {"items": items}


def add_to_groups(document: Document, lists: Lists) -> Document:
    """An APIGroupList with the groups and versions of `lists` as well."""
    groups = {one["name"]: one for one in document["groups"]}
    for group, version in lists:
        groups[group] = _with_version(groups.get(group), group, version)
    return document | {"groups": list(groups.values())}


def add_to_index(document: Document, lists: Lists) -> Document:
    """The index of OpenAPI v3 with the documents that the servers behind `lists` are asked for themselves."""
    places = [f"apis/{group}/{version}" for group, version in lists]
    return {"paths": document["paths"] | {place: {"serverRelativeURL": f"/openapi/v3/{place}"} for place in places}}


def group_of(document: Document | None, lists: Lists, name: str) -> Document | None:
    """The APIGroup `name`, with what `lists` has of it."""
    for group, version in lists:
        if group == name:
            document = {"kind": "APIGroup", "apiVersion": "v1"} | _with_version(document, group, version)
    return document


def _with_version(document: Document | None, group: str, version: str) -> Document:
    entry = {"groupVersion": f"{group}/{version}", "version": version}
    if document is None:
        return {"name": group, "versions": [entry], "preferredVersion": entry}
    return document | {"versions": [*document["versions"], entry]}


def _discovered(group: str, version: str, listed: Document) -> Iterable[Document]:
    """The resources of an APIResourceList as aggregated discovery has them."""
    own = {"group": group, "version": version}
    found: dict[str, Document] = {}
    for resource in listed.get("resources") or ():
        name, _, subresource = resource["name"].partition("/")
        kind = {key: resource.get(key) or own[key] for key in own} | {"kind": resource["kind"]}
        verbs = list(resource.get("verbs") or ())
        if subresource:
            entry = {"subresource": subresource, "responseKind": kind, "verbs": verbs}
            if name in found:
                found[name].setdefault("subresources", []).append(entry)
            continue
        scope = "Namespaced" if resource.get("namespaced") else "Cluster"
        found[name] = {"resource": name, "responseKind": kind, "scope": scope, "verbs": verbs}
        found[name]["singularResource"] = resource.get("singularName", "")
        for key in ("shortNames", "categories"):
            if resource.get(key):
                found[name][key] = list(resource[key])
    return found.values()
