"""The paths of OpenAPI documents: which operations each kind has, and their parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.api.patch import content_types
from controlplane.api.subresources import SUBRESOURCES, body_of
from controlplane.api.types import Kind

Document = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_METHODS = {
    "get": "get",
    "list": "get",
    "create": "post",
    "update": "put",
    "patch": "patch",
    "delete": "delete",
    "deletecollection": "delete",
}
_COLLECTION, _ITEM = ("list", "create", "deletecollection"), ("get", "update", "patch", "delete")
_ACTIONS = {"create": "post", "update": "put"}

_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_LIST = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)
_DELETE = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_QUERY = {
    "create": _WRITE,
    "update": _WRITE,
    "patch": (*_WRITE, "force"),
    "list": _LIST,
    "delete": _DELETE,
    "deletecollection": (*_DELETE, *_LIST[:-1]),
}
_STREAMS = ("container", "stderr", "stdin", "stdout", "tty")
_CONNECT = {
    "attach": _STREAMS,
    "exec": ("command", *_STREAMS),
    "log": (
        "container",
        "follow",
        "insecureSkipTLSVerifyBackend",
        "limitBytes",
        "previous",
        "sinceSeconds",
        "sinceTime",
        "stream",
        "tailLines",
        "timestamps",
    ),
    "portforward": ("ports",),
    "proxy": ("path",),
}
"""What subresources that are no objects take, whatever the method."""

_TYPES = {
    "allowWatchBookmarks": "boolean",
    "follow": "boolean",
    "force": "boolean",
    "gracePeriodSeconds": "integer",
    "insecureSkipTLSVerifyBackend": "boolean",
    "limit": "integer",
    "limitBytes": "integer",
    "orphanDependents": "boolean",
    "ports": "integer",
    "previous": "boolean",
    "sendInitialEvents": "boolean",
    "sinceSeconds": "integer",
    "stderr": "boolean",
    "stdin": "boolean",
    "stdout": "boolean",
    "tailLines": "integer",
    "timeoutSeconds": "integer",
    "timestamps": "boolean",
    "tty": "boolean",
    "watch": "boolean",
}


def list_definition(kind: Kind) -> str:
    """The definition of a list of `kind`."""
    return f"{kind.definition}List"


def operations(kinds: Iterable[Kind], raw: Document, prefix: str) -> Document:
    """The v3 `paths` of `kinds`; `raw` holds the definitions there are, `prefix` starts each reference."""
    paths: Document = {}
    for kind in kinds:
        base = (
            f"{kind.path}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{kind.path}/{kind.plural}"
        )
        _add(paths, base, kind, [verb for verb in _COLLECTION if verb in kind.verbs], raw, prefix)
        _add(paths, f"{base}/{{name}}", kind, [verb for verb in _ITEM if verb in kind.verbs], raw, prefix)
        if kind.namespaced and "list" in kind.verbs:
            _add(paths, f"{kind.path}/{kind.plural}", kind, ["list"], raw, prefix)
        for name in sorted(kind.subresources):
            verbs = SUBRESOURCES[name].verbs
            _add(paths, f"{base}/{{name}}/{name}", kind, verbs, raw, prefix, subresource=name)
    return paths


def _add(
    paths: Document,
    path: str,
    kind: Kind,
    verbs: Iterable[str],
    raw: Document,
    prefix: str,
    *,
    subresource: str = "",
) -> None:
    item: Document = {
        _METHODS[verb]: _operation(path, kind, verb, raw, prefix, subresource=subresource) for verb in verbs
    }
    if item:
        names = [name for name in ("name", "namespace") if f"{{{name}}}" in path]
        item["parameters"] = [_parameter(name, "path") for name in names] + [_parameter("pretty", "query")]
        paths[path] = item


def _operation(path: str, kind: Kind, verb: str, raw: Document, prefix: str, *, subresource: str) -> Document:
    group, version, name = body_of(kind, subresource) if subresource else (kind.group, kind.version, kind.name)
    scope = "Namespaced" if "{namespace}" in path else "ForAllNamespaces" if kind.namespaced else ""
    definition = _definition(kind, name, group, version, raw)
    responds = (
        list_definition(kind) if verb == "list" else f"{_META}Status" if verb.startswith("delete") else definition
    )
    api = _camel(kind.group or "core") + _camel(kind.version)
    operation: Document = {
        "description": f"{verb} {kind.name} {subresource}".rstrip(),
        "operationId": f"{verb}{api}{scope}{kind.name}{_camel(subresource)}",
        "tags": [f"{(kind.group or 'core').partition('.')[0]}_{kind.version}"],
        "parameters": [_parameter(one, "query") for one in _CONNECT.get(subresource, _QUERY.get(verb, ()))],
        "responses": {"200": _response(responds, raw, prefix), "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": _ACTIONS.get(verb, verb),
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": name},
    }
    if verb in ("create", "update", "patch"):
        operation["requestBody"] = _body(kind, verb, definition, prefix)
    return operation


def _definition(kind: Kind, name: str, group: str, version: str, raw: Document) -> str:
    """The definition of kind `name`, found beside that of `kind` or by its group, version and kind."""
    if name == kind.name:
        return kind.definition
    short = (group or "core").partition(".")[0]
    found = f"io.k8s.api.{short}.{version}.{name}"
    return found if found in raw else ""


def _body(kind: Kind, verb: str, definition: str, prefix: str) -> Document:
    if verb == "patch":
        schema = {"$ref": f"{prefix}{_META}Patch"}
        return {"content": {media: {"schema": schema} for media in content_types(kind)}, "required": True}
    schema = {"$ref": prefix + definition} if definition else {"type": "object"}
    return {"content": {"*/*": {"schema": schema}}, "required": True}


def _response(definition: str, raw: Document, prefix: str) -> Document:
    schema = {"$ref": prefix + definition} if definition in raw else {"type": "string"}
    return {"description": "OK", "content": {"application/json": {"schema": schema}}}


def _parameter(name: str, place: str) -> Document:
    parameter: Document = {
        "name": name,
        "in": place,
        "schema": {"type": _TYPES.get(name, "string"), "uniqueItems": True},
    }
    return parameter | {"required": True} if place == "path" else parameter


def _camel(text: str) -> str:
    return text[:1].upper() + text[1:].partition(".")[0]
