"""The API's errors about one object, with upstream's wording and details (k8s.io/apimachinery/pkg/api/errors)."""

from __future__ import annotations

from typing import Any

from controlplane.api.errors import AlreadyExists, Conflict, Forbidden, NotFound
from controlplane.api.types import Kind

NOT_SERVED = "the server could not find the requested resource"
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def details(kind: Kind, name: str) -> dict[str, Any]:
    """`Status.details`: group and resource of the object; what is empty is left out."""
    found = {"name": name, "group": kind.group, "kind": kind.plural}
    return {key: value for key, value in found.items() if value}


def not_found(kind: Kind, name: str) -> NotFound:
    return NotFound(f'{kind.resource} "{name}" not found', details=details(kind, name))


def not_served(path: str) -> NotFound:
    """Of a path that names nothing here. There are always details: kubectl looks into them without asking."""
    parts = path.strip("/").split("/")
    prefix = {"api": 2, "apis": 3}.get(parts[0], len(parts))
    group, rest = parts[1] if parts[0] == "apis" and len(parts) > 1 else "", parts[prefix:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    if not rest:
        return NotFound(NOT_SERVED, details={"causes": [{"reason": "UnexpectedServerResponse", "message": path}]})
    resource = f"{rest[0]}.{group}" if group else rest[0]
    shown = f"{resource}/{rest[2]}" if len(rest) > 2 else resource
    found = {"group": group, "kind": rest[0]} if group else {"kind": rest[0]}
    return NotFound(f"{NOT_SERVED}: this version of netsim does not serve {shown}", details=found)


def already_exists(kind: Kind, name: str) -> AlreadyExists:
    return AlreadyExists(f'{kind.resource} "{name}" already exists', details=details(kind, name))


def conflict(kind: Kind, name: str, why: str = MODIFIED, resource: str = "") -> Conflict:
    """`resource` names a subresource where that is what could not be done: "pods/binding"."""
    shown = resource or kind.resource
    return Conflict(f'Operation cannot be fulfilled on {shown} "{name}": {why}', details=details(kind, name))


def forbidden(kind: Kind, name: str, why: str) -> Forbidden:
    """A refusal by admission or authorization; `name` is empty where there is none yet."""
    shown = f'{kind.resource} "{name}" is forbidden: {why}' if name else f"{kind.resource} is forbidden: {why}"
    return Forbidden(shown, details=details(kind, name))
