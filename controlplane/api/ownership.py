"""Who owns which fields of an object: `metadata.managedFields`, read, written and kept up to date.

Pure functions over objects. What an apply does with ownership is in `apply`; here is what every other
write does. Ownership costs time and twice the bytes of a small object, so it is followed only from the
first write on that names itself a field manager: a create with `fieldManager` (kubectl's all have one),
or an apply, for which everything that is there already belongs to "before-first-apply", as upstream has
it for objects from before the feature. Behaviour follows k8s.io/apimachinery/pkg/util/managedfields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from controlplane.api.definitions import node_of
from controlplane.api.fieldset import Leaves, Path, from_fields_v1, leaves, to_fields_v1
from controlplane.api.types import Kind, Object

BEFORE_FIRST_APPLY = "before-first-apply"
ANCIENT_CHANGES = "ancient-changes"
UPDATERS_BOUND = 10
"""Owners by other writes than apply; the oldest above that share the entry "ancient-changes"."""

_SYSTEM = (
    "managedFields",
    "name",
    "namespace",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "uid",
    "resourceVersion",
    "generation",
    "selfLink",
)
_UNOWNED = {("f:apiVersion",), ("f:kind",), ("f:metadata",), *(("f:metadata", f"f:{name}") for name in _SYSTEM)}


@dataclass(slots=True)
class Owner:
    """One entry of `managedFields`: who, by which operation, and which paths."""

    manager: str
    operation: str
    subresource: str = ""
    time: str = ""
    api_version: str = ""
    paths: set[Path] = field(default_factory=set)

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.manager, self.operation, self.subresource

    def __str__(self) -> str:
        text = f'"{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == "Update":
            text += f" using {self.api_version}" + (f" at {self.time}" if self.time else "")
        return text


def owned(kind: Kind, obj: Object, subresource: str = "") -> Leaves:
    """The paths of `obj` that somebody can own, with what is there.

    The status of a kind that has it as a subresource is only owned through that.
    """
    found = leaves(node_of(kind), obj)
    whole = subresource == "status" or "status" not in kind.subresources
    return {
        path: value
        for path, value in found.items()
        if path[:2] not in _UNOWNED and path not in _UNOWNED and (whole or path[0] != "f:status")
    }


def owners_of(obj: Object) -> list[Owner]:
    """The entries of `managedFields`; none when any of them is malformed, as upstream's decoder has it."""
    owners = []
    for entry in obj["metadata"].get("managedFields", ()):
        if entry.get("operation") not in ("Apply", "Update") or entry.get("fieldsType") != "FieldsV1":
            return []
        owners.append(
            Owner(
                entry.get("manager", ""),
                entry["operation"],
                entry.get("subresource", ""),
                entry.get("time", ""),
                entry.get("apiVersion", ""),
                from_fields_v1(entry.get("fieldsV1", {})),
            )
        )
    return owners


def with_owners(obj: Object, owners: list[Owner]) -> Object:
    """`obj` with `owners` for its `managedFields`; those who own nothing are left out."""
    metadata = {name: value for name, value in obj.get("metadata", {}).items() if name != "managedFields"}
    entries = [_entry(owner) for owner in sorted(_capped(owners), key=_order) if owner.paths]
    if entries:
        metadata["managedFields"] = entries
    return obj | {"metadata": metadata}


def everything(kind: Kind, live: Object, now: str) -> Owner:
    """The owner of all that was there before anybody applied."""
    return Owner(BEFORE_FIRST_APPLY, "Update", "", now, kind.api_version, set(owned(kind, live, "status")))


def carry(new: Object, old: Object, *, subresource: str = "") -> None:
    """Puts the owners of `old` into `new`, in place, where the caller sent none; a subresource never sends any."""
    metadata, before = new["metadata"], old["metadata"]
    if metadata.get("managedFields") and not subresource:
        return
    if "managedFields" in before:
        metadata["managedFields"] = before["managedFields"]
    else:
        metadata.pop("managedFields", None)


def track_create(kind: Kind, obj: Object, manager: str, *, now: str) -> Object:
    """`obj`, about to be stored for the first time, with `manager` as the owner of what nobody else owns."""
    return _tracked(kind, owners_of(obj), {}, obj, Owner(manager, "Update", "", now, kind.api_version))


def track_update(kind: Kind, old: Object, new: Object, manager: str, *, now: str, subresource: str = "") -> Object:
    """`new` with its `managedFields` brought up to date after a write other than apply.

    Nothing is done for objects that nobody follows. An empty entry in the caller's `managedFields`
    (`[{}]`) gives all ownership up; other entries replace the present ones.
    """
    if new["metadata"].get("managedFields") == [{}]:
        return with_owners(new, [])
    owners = owners_of(new) or owners_of(old)
    if not owners:
        return with_owners(new, []) if "managedFields" in new["metadata"] else new
    before = owned(kind, old, subresource)
    return _tracked(kind, owners, before, new, Owner(manager, "Update", subresource, now, kind.api_version))


def _tracked(kind: Kind, owners: list[Owner], before: Leaves, new: Object, mine: Owner) -> Object:
    after = owned(kind, new, mine.subresource)
    present = after.keys() if mine.subresource == "status" else after.keys() | _status_paths(owners)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    for owner in owners:
        owner.paths &= present
        if owner.identity == mine.identity:
            mine.paths = owner.paths
            mine.time = mine.time if changed else owner.time
        else:
            owner.paths -= changed
    mine.paths |= changed
    others = [owner for owner in owners if owner.identity != mine.identity]
    return with_owners(new, [*others, mine])


def _status_paths(owners: list[Owner]) -> set[Path]:
    return {path for owner in owners for path in owner.paths if path[0] == "f:status"}


def _capped(owners: list[Owner]) -> list[Owner]:
    updaters = sorted((owner for owner in owners if owner.operation == "Update"), key=_order)
    excess = updaters[: len(updaters) - UPDATERS_BOUND + 1] if len(updaters) > UPDATERS_BOUND else []
    if not excess:
        return owners
    last = excess[-1]
    paths = set().union(*(owner.paths for owner in excess))
    ancient = Owner(ANCIENT_CHANGES, "Update", "", last.time, last.api_version, paths)
    return [*(owner for owner in owners if owner not in excess), ancient]


def _order(owner: Owner) -> tuple[str, ...]:
    return owner.operation, owner.time, owner.manager, owner.api_version, owner.subresource


def _entry(owner: Owner) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "manager": owner.manager,
        "operation": owner.operation,
        "apiVersion": owner.api_version,
        "time": owner.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": to_fields_v1(owner.paths),
    }
    return entry | {"subresource": owner.subresource} if owner.subresource else entry
