"""Server-side apply: what somebody declares is merged in, and what they no longer declare goes.

Pure functions over objects and their `managedFields`; who owns what after other writes is in
`ownership`. Behaviour and wording follow k8s.io/apimachinery/pkg/util/managedfields and
sigs.k8s.io/structured-merge-diff.
"""

from __future__ import annotations

from typing import Any

import orjson

from controlplane.api.definitions import node_of
from controlplane.api.errors import BadRequest, Conflict, FieldError
from controlplane.api.fieldset import Path, child, element_of, is_atomic, shown
from controlplane.api.ownership import Owner, everything, owned, owners_of, with_owners
from controlplane.api.schema import Array, Node
from controlplane.api.types import Kind, Object

KUBECTL = "kubectl"
"""The manager that takes fields over from client-side apply without a conflict, as upstream has it."""

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def server_side_apply(
    kind: Kind,
    live: Object | None,
    config: Object,
    manager: str,
    *,
    now: str,
    force: bool = False,
    subresource: str = "",
) -> Object:
    """`live` (None: there is none yet) with `config` applied by `manager` at `now`, a timestamp.

    Fields that `manager` applied before and `config` no longer has go, unless others own them too.
    Conflict where another owner's field would change, unless `force` takes it over. The result
    shares parts with `live`, and is not yet decoded, defaulted or validated.
    """
    if config.get("metadata", {}).get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    config = _part(kind, config, subresource)
    declared = set(owned(kind, config, subresource))
    if subresource:
        declared = {path for path in declared if path[0] != "f:metadata"}
    mine = Owner(manager, "Apply", subresource, now, kind.api_version, declared)
    if live is None:
        return with_owners(config, [mine])
    owners = owners_of(live) or [everything(kind, live, now)]
    last = next((owner for owner in owners if owner.identity == mine.identity), Owner(manager, "Apply"))
    others = [owner for owner in owners if owner.identity != mine.identity]
    kept = declared.union(*(owner.paths for owner in others))
    node = node_of(kind)
    merged = _prune(node, _merge(node, live, config), (), last.paths - kept, kept)
    before, after = owned(kind, live, "status"), owned(kind, merged, "status")
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    # What has lost its last content was there before, and is no change of its own.
    changed -= {path for path in changed if not after[path] and any(was[: len(path)] == path for was in before)}
    allowed = _applied_by_client(kind, live) if manager == KUBECTL else set()
    _settle_conflicts(others, changed & mine.paths, allowed, force=force)
    for owner in others:
        owner.paths &= after.keys()
    if not changed and before.keys() == after.keys() and mine.paths == last.paths:
        mine.time = last.time
    if manager == KUBECTL:
        merged = _with_last_applied(merged, config)
    return with_owners(merged, [mine, *others])


def _part(kind: Kind, config: Object, subresource: str) -> Object:
    """What of `config` a request to `subresource` is about."""
    if subresource == "status":
        return {name: value for name, value in config.items() if name != "spec"}
    if "status" in kind.subresources:
        return {name: value for name, value in config.items() if name != "status"}
    return config


def _applied_by_client(kind: Kind, live: Object) -> set[Path]:
    """The fields that kubectl's client-side apply declared last."""
    text = live["metadata"].get("annotations", {}).get(LAST_APPLIED)
    if not text:
        return set()
    try:
        applied = orjson.loads(text)
    except orjson.JSONDecodeError:
        return set()
    return set(owned(kind, applied)) if isinstance(applied, dict) else set()


def _with_last_applied(merged: Object, config: Object) -> Object:
    """Keeps the annotation of client-side apply true where the object has it; nobody comes to own it."""
    metadata = merged["metadata"]
    if LAST_APPLIED not in metadata.get("annotations", {}):
        return merged
    annotations = {k: v for k, v in config["metadata"].get("annotations", {}).items() if k != LAST_APPLIED}
    plain = {name: value for name, value in config["metadata"].items() if name != "annotations"}
    if annotations:
        plain["annotations"] = annotations
    text = orjson.dumps(config | {"metadata": plain}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    return merged | {"metadata": metadata | {"annotations": metadata["annotations"] | {LAST_APPLIED: text}}}


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


def _settle_conflicts(others: list[Owner], changed: set[Path], allowed: set[Path], *, force: bool) -> None:
    """Takes from `others` what has `changed`; Conflict where that takes force, or all of it being `allowed`."""
    conflicts = [(owner, path) for owner in others for path in sorted(owner.paths & changed)]
    if not force and not {path for _, path in conflicts} <= allowed:
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
