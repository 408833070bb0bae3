"""Server-side apply: what somebody declares is merged in, and what they no longer declare goes.

Pure functions over objects and their `managedFields`; the server does not offer them yet (see
`patch`). Ownership is kept lazily: an object is followed from its first apply on, when everything
that is there already belongs to "before-first-apply", as upstream has it for objects from before
the feature. Until then writes cost nothing. Behaviour and wording follow
k8s.io/apimachinery/pkg/util/managedfields and sigs.k8s.io/structured-merge-diff.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from controlplane.api.definitions import definitions
from controlplane.api.errors import BadRequest, Conflict, FieldError
from controlplane.api.fieldset import (
    Leaves,
    Path,
    child,
    element_of,
    from_fields_v1,
    is_atomic,
    leaves,
    shown,
    to_fields_v1,
)
from controlplane.api.schema import Array, Node
from controlplane.api.types import Kind, Object

BEFORE_FIRST_APPLY = "before-first-apply"

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


def server_side_apply(
    kind: Kind, live: Object | None, config: Object, manager: str, *, now: str, force: bool = False
) -> Object:
    """`live` (None: there is none yet) with `config` applied by `manager` at `now`, a timestamp.

    Fields that `manager` applied before and `config` no longer has go, unless others own them too.
    Conflict where another owner's field would change, unless `force` takes it over. The result is
    not yet decoded, defaulted or validated.
    """
    if config.get("metadata", {}).get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    node = definitions()[kind.definition]
    declared = _owned(node, config)
    if "status" in kind.subresources:
        declared = {path: value for path, value in declared.items() if path[0] != "f:status"}
        config = {name: value for name, value in config.items() if name != "status"}
    mine = Owner(manager, "Apply", "", now, kind.api_version, set(declared))
    if live is None:
        return _with_owners(config, [mine])
    owners = _owners(live) or [_everything(node, live, kind, now)]
    last = next((owner for owner in owners if owner.identity == mine.identity), Owner(manager, "Apply"))
    others = [owner for owner in owners if owner.identity != mine.identity]
    kept = set(declared).union(*(owner.paths for owner in others))
    merged = _prune(node, _merge(node, live, config), (), last.paths - kept, kept)
    before, after = _owned(node, live), _owned(node, merged)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    _settle_conflicts(others, changed & mine.paths, force=force)
    for owner in others:
        owner.paths &= after.keys()
    return _with_owners(merged, [mine, *others])


def track_update(kind: Kind, old: Object, new: Object, manager: str, *, now: str, subresource: str = "") -> Object:
    """`new` with its `managedFields` brought up to date after a write other than apply.

    Nothing is done for objects that nobody has applied. An empty entry in the caller's
    `managedFields` (`[{}]`) gives all ownership up.
    """
    if new["metadata"].get("managedFields") == [{}]:
        return _with_owners(new, [])
    owners = _owners(old)
    if not owners:
        return new
    node = definitions()[kind.definition]
    before, after = _owned(node, old), _owned(node, new)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    mine = Owner(manager, "Update", subresource, now, kind.api_version)
    for owner in owners:
        owner.paths &= after.keys()
        if owner.identity == mine.identity:
            mine.paths = owner.paths
            mine.time = now if changed else owner.time
        else:
            owner.paths -= changed
    mine.paths |= changed
    others = [owner for owner in owners if owner.identity != mine.identity]
    return _with_owners(new, [*others, mine])


def _owned(node: Node, obj: Object) -> Leaves:
    return {
        path: value for path, value in leaves(node, obj).items() if path[:2] not in _UNOWNED and path not in _UNOWNED
    }


def _everything(node: Node, live: Object, kind: Kind, now: str) -> Owner:
    return Owner(BEFORE_FIRST_APPLY, "Update", "", now, kind.api_version, set(_owned(node, live)))


def _owners(obj: Object) -> list[Owner]:
    return [
        Owner(
            entry.get("manager", ""),
            entry.get("operation", ""),
            entry.get("subresource", ""),
            entry.get("time", ""),
            entry.get("apiVersion", ""),
            from_fields_v1(entry.get("fieldsV1", {})),
        )
        for entry in obj["metadata"].get("managedFields", ())
    ]


def _with_owners(obj: Object, owners: list[Owner]) -> Object:
    metadata = {name: value for name, value in obj.get("metadata", {}).items() if name != "managedFields"}
    entries = [_entry(owner) for owner in sorted(owners, key=_order) if owner.paths]
    if entries:
        metadata["managedFields"] = entries
    return obj | {"metadata": metadata}


def _order(owner: Owner) -> tuple[str, str, str]:
    return owner.operation, owner.time, owner.manager


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


def _merge(node: Node, live: Any, config: Any) -> Any:
    """`config` laid over `live`; lists by their keys, in the order of `config`."""
    if is_atomic(node, config) or type(live) is not type(config):
        return config
    if isinstance(config, dict):
        merged = dict(live)
        for name, value in config.items():
            merged[name] = _merge(child(node, name), live[name], value) if name in live else value
        return merged
    assert isinstance(node, Array)
    present = {element_of(node, item): item for item in live}
    named = {element_of(node, item): item for item in config}
    result = []
    waiting = list(named)
    for element, item in present.items():
        if element not in named:
            result.append(item)
        elif element in waiting:
            # Items that the declaration names come in its order, those before this one first.
            upto = waiting.index(element) + 1
            result += [_merge_item(node, present, named, one) for one in waiting[:upto]]
            waiting = waiting[upto:]
    return result + [_merge_item(node, present, named, one) for one in waiting]


def _merge_item(node: Array, present: dict[str, Any], named: dict[str, Any], element: str) -> Any:
    item = named[element]
    return _merge(node.items, present[element], item) if element in present else item


def _prune(node: Node, value: Any, path: Path, gone: set[Path], kept: set[Path]) -> Any:
    """`value` without what is at the paths `gone`, list items whole where nothing in them is `kept`."""
    if not gone or is_atomic(node, value):
        return value
    if isinstance(value, dict):
        pruned = {}
        for name, item in value.items():
            place = (*path, f"f:{name}")
            if place not in gone or _below(kept, place):
                pruned[name] = _prune(child(node, name), item, place, _below(gone, place), kept)
        return pruned
    assert isinstance(node, Array)
    items = []
    for item in value:
        place = (*path, element_of(node, item))
        if place not in gone or _below(kept, place):
            items.append(_prune(node.items, item, place, _below(gone, place), kept))
    return items


def _below(paths: set[Path], place: Path) -> set[Path]:
    length = len(place)
    return {path for path in paths if path[:length] == place}


def _settle_conflicts(others: list[Owner], changed: set[Path], *, force: bool) -> None:
    conflicts = [(owner, path) for owner in others for path in sorted(owner.paths & changed)]
    if conflicts and not force:
        raise _conflict(conflicts)
    for owner, path in conflicts:
        owner.paths.discard(path)


def _conflict(conflicts: list[tuple[Owner, Path]]) -> Conflict:
    causes = [
        {"reason": error.type, "message": error.body, "field": error.field}
        for owner, path in conflicts
        for error in (FieldError("FieldManagerConflict", shown(path), f"conflict with {owner}"),)
    ]
    if len(conflicts) == 1:
        owner, path = conflicts[0]
        text = f"Apply failed with 1 conflict: conflict with {owner}: {shown(path)}"
    else:
        lines = []
        for name in dict.fromkeys(str(owner) for owner, _ in conflicts):
            lines.append(f"conflicts with {name}:")
            lines += [f"- {shown(path)}" for other, path in conflicts if str(other) == name]
        text = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
    return Conflict(text, details={"causes": causes})
