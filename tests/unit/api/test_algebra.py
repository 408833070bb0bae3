"""Patches against their algebra: server-side apply against a model of owners, strategic merge against its laws."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from controlplane.api.apply import server_side_apply
from controlplane.api.definitions import node_of
from controlplane.api.errors import Conflict
from controlplane.api.kinds import POD
from controlplane.api.strategic import strategic_patch
from controlplane.api.types import Object

NOW = "2026-01-01T00:00:00Z"
VALUES = st.sampled_from("12")

Leaves = dict[tuple[str, ...], Any]


def keyed(items: st.SearchStrategy[dict[str, Any]], names: str, least: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Lists of items with different names."""
    filled = st.dictionaries(st.sampled_from(names), items, min_size=least, max_size=len(names))
    return filled.map(lambda found: [{"name": name, **fields} for name, fields in found.items()])


def pods(names: str = "abc", labels: str = "xyz", least: int = 0) -> st.SearchStrategy[Object]:
    """What somebody may declare of a pod: labels, keyed lists in keyed lists, atomic lists and maps, scalars.

    With `least` 1 nothing is empty.
    """
    env = keyed(st.fixed_dictionaries({}, optional={"value": VALUES}), "EF", least)
    fields = {
        "image": VALUES,
        "command": st.lists(VALUES, min_size=1, max_size=2),
        "env": env,
        "resources": st.fixed_dictionaries(
            {"limits": st.dictionaries(st.sampled_from(["cpu", "memory"]), VALUES, min_size=least)}
        ),
    }
    spec = st.fixed_dictionaries(
        {},
        optional={
            "containers": keyed(st.fixed_dictionaries({}, optional=fields), names, least),
            "nodeSelector": st.dictionaries(st.sampled_from("nm"), VALUES, min_size=1),
            "hostname": VALUES,
        },
    )
    labelled = st.dictionaries(st.sampled_from(labels), VALUES, min_size=least)
    return st.builds(_pod, labelled, spec)


def _pod(labels: dict[str, str], spec: dict[str, Any]) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": labels}, "spec": spec}


def leaves(obj: Object) -> Leaves:
    """Everything that can be owned by itself, by its path; the test's own reading of the schema."""
    found: Leaves = {("label", key): value for key, value in obj["metadata"].get("labels", {}).items()}
    spec = obj.get("spec", {})
    found |= {(name,): spec[name] for name in ("nodeSelector", "hostname") if name in spec}
    for container in spec.get("containers", ()):
        place = ("container", container["name"])
        found[(*place, "name")] = container["name"]
        found |= {(*place, name): container[name] for name in ("image", "command") if name in container}
        for key, value in container.get("resources", {}).get("limits", {}).items():
            found[(*place, "limit", key)] = value
        for variable in container.get("env", ()):
            for name, value in variable.items():
                found[(*place, "env", variable["name"], name)] = value
    return found


class Model:
    """Who owns which leaves, and what they are."""

    def __init__(self) -> None:
        self.values: Leaves = {}
        self.owned: dict[str, set[tuple[str, ...]]] = {}

    def conflicts(self, manager: str, wanted: Leaves) -> bool:
        theirs = set().union(*(paths for name, paths in self.owned.items() if name != manager))
        return any(path in theirs and self.values[path] != value for path, value in wanted.items())

    def apply(self, manager: str, wanted: Leaves) -> None:
        for name, paths in self.owned.items():
            if name != manager:
                paths -= {path for path in paths if path in wanted and self.values[path] != wanted[path]}
        dropped = self.owned.get(manager, set()) - wanted.keys()
        self.owned[manager] = set(wanted)
        self.values |= wanted
        kept = set().union(*self.owned.values())
        for path in dropped - kept:
            self.values.pop(path, None)


steps = st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), pods(), st.booleans()), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_server_side_apply_is_what_the_owners_say(applied: list[tuple[str, Object, bool]]) -> None:
    model, live = Model(), None
    for manager, wanted, force in applied:
        before = copy.deepcopy((live, wanted))
        expected = leaves(wanted)
        try:
            live = server_side_apply(POD, live, wanted, manager, now=NOW, force=force)
            assert force or not model.conflicts(manager, expected)
            model.apply(manager, expected)
            again = server_side_apply(POD, live, wanted, manager, now=NOW)
            assert again == live
        except Conflict:
            assert not force
            assert model.conflicts(manager, expected)
            assert (live, wanted) == before
        if live is not None:
            assert leaves(live) == model.values


@settings(max_examples=60, deadline=None)
@given(pods("ab", "x", 1), pods("cd", "y", 1))
def test_managers_of_different_fields_commute(first: Object, second: Object) -> None:
    for name in ("nodeSelector", "hostname"):
        second["spec"].pop(name, None)
    assume(first["spec"] and second["spec"])

    def in_order(*wanted: tuple[str, Object]) -> Object:
        live: Object | None = None
        for manager, config in wanted:
            live = server_side_apply(POD, live, config, manager, now=NOW)
        assert live is not None
        return live

    one, other = (in_order(*order) for order in ([("a", first), ("b", second)], [("b", second), ("a", first)]))
    assert leaves(one) == leaves(other)
    owners = [
        {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"]["managedFields"]} for obj in (one, other)
    ]
    assert owners[0] == owners[1]


@settings(max_examples=60, deadline=None)
@given(pods("ab", "x"), pods("cd", "y"))
def test_who_leaves_takes_only_what_is_his(first: Object, second: Object) -> None:
    for name in ("nodeSelector", "hostname"):
        second["spec"].pop(name, None)
    alone = server_side_apply(POD, None, first, "a", now=NOW)
    both = server_side_apply(POD, alone, second, "b", now=NOW)
    left = server_side_apply(POD, both, _pod({}, {}), "b", now=NOW)
    assert leaves(left) == leaves(alone)


def strategic(obj: Object, patch: Any) -> Object:
    before = copy.deepcopy((obj, patch))
    patched: Object = strategic_patch(node_of(POD), obj, patch)
    assert (obj, patch) == before
    return patched


@st.composite
def patches(draw: st.DrawFn) -> Object:
    """Strategic patches: parts of a pod, with items and fields to be deleted."""
    patch = draw(pods())
    for name in draw(st.lists(st.sampled_from("xyz"), unique=True)):
        patch["metadata"]["labels"][name] = None
    for name in draw(st.lists(st.sampled_from(["nodeSelector", "hostname"]), unique=True)):
        patch["spec"][name] = None
    containers = patch["spec"].get("containers")
    if containers is not None:
        there = {one["name"] for one in containers}
        gone = draw(st.lists(st.sampled_from("abcd"), unique=True))
        containers += [{"name": name, "$patch": "delete"} for name in gone if name not in there]
    return patch


@settings(max_examples=150, deadline=None)
@given(pods(), patches())
def test_a_strategic_patch_twice_is_once(obj: Object, patch: Object) -> None:
    once = strategic(obj, patch)
    assert strategic(once, patch) == once


@settings(max_examples=100, deadline=None)
@given(pods(), pods())
def test_what_a_strategic_patch_says_is_there_and_the_rest_stays(obj: Object, patch: Object) -> None:
    before, said, after = leaves(obj), leaves(patch), leaves(strategic(obj, patch))
    # Maps that server-side apply takes as one are merged here.
    merged = {**obj["spec"].get("nodeSelector", {}), **patch["spec"].get("nodeSelector", {})}
    expected = before | said | ({("nodeSelector",): merged} if merged else {})
    assert after == expected


@settings(max_examples=100, deadline=None)
@given(pods(), pods("ab", "x"), pods("cd", "y"))
def test_strategic_patches_of_different_fields_commute(obj: Object, first: Object, second: Object) -> None:
    for name in ("nodeSelector", "hostname"):
        second["spec"].pop(name, None)
    assert leaves(strategic(strategic(obj, first), second)) == leaves(strategic(strategic(obj, second), first))


@given(pods())
def test_an_empty_strategic_patch_changes_nothing(obj: Object) -> None:
    assert strategic(obj, {}) == obj
