"""Patches: the RFCs' own examples, strategic merge as upstream does it, and laws that always hold."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.errors import BadRequest, Invalid, RequestTooLarge, UnsupportedMediaType
from controlplane.api.jsonpatch import apply_json_patch, merge_patch
from controlplane.api.kinds import DEPLOYMENT, POD, SERVICE
from controlplane.api.patch import apply_patch, patch_type_of
from controlplane.api.types import Kind

keys = st.text("ab/~-0", max_size=3)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
without_nulls = st.recursive(
    st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("document", "operations", "expected"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "q"}], {"foo": ["bar", "q", "baz"]}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["a"]}], {"foo": ["bar", ["a"]]}),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["a", "b", "c"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["a", "c"]}),
        ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        ({"foo": ["a", "b", "c"]}, [{"op": "move", "from": "/foo/1", "path": "/foo/2"}], {"foo": ["a", "c", "b"]}),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"a/b": 1}, [{"op": "replace", "path": "/a~1b", "value": 2}], {"a/b": 2}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
        ({}, [{"op": "add", "path": "/", "value": 1}], {"": 1}),
    ],
)
def test_json_patch(document: Any, operations: Any, expected: Any) -> None:
    before = copy.deepcopy(document)
    assert apply_json_patch(document, operations) == expected
    assert document == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/missing"},
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "add", "path": "/missing/deep", "value": 1},
        {"op": "add", "path": "/list/3", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "test", "path": "/list/0", "value": True},
        {"op": "move", "from": "/map", "path": "/map/inside"},
        {"op": "frobnicate", "path": "/list"},
        {"op": "add", "path": "list", "value": 1},
        {"op": "copy", "path": "/x", "from": "/missing"},
    ],
)
def test_a_json_patch_that_does_not_fit(operation: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="the server rejected our request due to an error in our request"):
        apply_json_patch({"list": [1], "map": {}}, [operation])


def test_copies_of_copies_do_not_grow_without_bound() -> None:
    operations = [{"op": "add", "path": "/a", "value": ["x" * 1000]}]
    operations += [{"op": "copy", "from": "/a", "path": "/a/-"} for _ in range(30)]
    with pytest.raises(RequestTooLarge, match="exceeding the limit"):
        apply_json_patch({}, operations)


def test_malformed_json_patches() -> None:
    with pytest.raises(BadRequest):
        apply_json_patch({}, {"op": "add"})
    with pytest.raises(RequestTooLarge):
        apply_json_patch({}, [{}] * 10_001)


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(document: Any, patch: Any, expected: Any) -> None:
    assert merge_patch(document, patch) == expected


@given(values, values)
def test_merge_patch_is_idempotent_and_changes_nothing_that_came_in(document: Any, patch: Any) -> None:
    kept_document, kept_patch = copy.deepcopy(document), copy.deepcopy(patch)
    once = merge_patch(document, patch)
    assert merge_patch(once, patch) == once
    assert (document, patch) == (kept_document, kept_patch)


@given(values, without_nulls)
def test_merge_patch_can_say_any_difference(old: Any, new: Any) -> None:
    def difference(before: Any, after: Any) -> Any:
        if not isinstance(before, dict) or not isinstance(after, dict):
            return after
        return {key: None for key in before if key not in after} | {
            key: difference(before.get(key), value) for key, value in after.items()
        }

    if isinstance(old, dict) is isinstance(new, dict):
        assert merge_patch(old, difference(old, new)) == new


@given(st.dictionaries(keys, values, max_size=4), keys, values)
def test_add_then_remove_is_nothing(document: dict[str, Any], key: str, value: Any) -> None:
    path = "/" + key.replace("~", "~0").replace("/", "~1")
    added = apply_json_patch(
        document, [{"op": "add", "path": path, "value": value}, {"op": "test", "path": path, "value": value}]
    )
    assert apply_json_patch(added, [{"op": "remove", "path": path}]) == {k: v for k, v in document.items() if k != key}


def strategic(kind: Kind, obj: Any, patch: Any) -> Any:
    before = copy.deepcopy((obj, patch))
    patched = apply_patch(kind, obj, patch, "strategic")
    assert (obj, patch) == before
    return patched


def containers(*images: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name, "image": name} for name in images]}}


def names(obj: Any) -> list[str]:
    return [container["name"] for container in obj["spec"]["containers"]]


def test_keyed_lists_merge_by_their_key() -> None:
    patched = strategic(POD, containers("a", "b"), {"spec": {"containers": [{"name": "b", "image": "new"}]}})
    assert patched == {"spec": {"containers": [{"name": "a", "image": "a"}, {"name": "b", "image": "new"}]}}


def test_a_new_item_without_an_order_comes_first() -> None:
    assert names(strategic(POD, containers("a"), containers("c"))) == ["c", "a"]


def test_set_element_order() -> None:
    patch = containers("c") | {}
    patch["spec"]["$setElementOrder/containers"] = [{"name": "b"}, {"name": "c"}, {"name": "a"}]
    assert names(strategic(POD, containers("a", "b"), patch)) == ["b", "c", "a"]


def test_items_that_the_order_does_not_name_stay_where_they_were() -> None:
    patch = {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}}
    assert names(strategic(POD, containers("a", "injected", "c"), patch)) == ["injected", "c", "a"]


def test_directives() -> None:
    gone = {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}
    assert names(strategic(POD, containers("a", "b"), gone)) == ["b"]
    replaced = {"spec": {"containers": [{"$patch": "replace"}, {"name": "z", "image": "z"}]}}
    assert strategic(POD, containers("a", "b"), replaced) == containers("z")
    whole = {"spec": {"$patch": "replace", "hostname": "h"}}
    assert strategic(POD, containers("a"), whole) == {"spec": {"hostname": "h"}}
    with pytest.raises(BadRequest, match="unknown patch type: frob"):
        strategic(POD, containers("a"), {"spec": {"$patch": "frob"}})


def test_delete_from_primitive_list() -> None:
    obj = {"metadata": {"finalizers": ["a/x", "b/x", "c/x"]}}
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["b/x"]}}
    assert strategic(POD, obj, patch) == {"metadata": {"finalizers": ["a/x", "c/x"]}}
    added = {"metadata": {"finalizers": ["c/x", "d/x"]}}
    assert set(strategic(POD, obj, added)["metadata"]["finalizers"]) == {"a/x", "b/x", "c/x", "d/x"}


def test_retain_keys() -> None:
    obj = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic(DEPLOYMENT, obj, patch) == {"spec": {"strategy": {"type": "Recreate"}}}


def test_atomic_lists_are_replaced() -> None:
    obj = {"spec": {"containers": [{"name": "a", "args": ["x", "y"]}]}}
    patch = {"spec": {"containers": [{"name": "a", "args": ["z"]}]}}
    assert strategic(POD, obj, patch)["spec"]["containers"][0]["args"] == ["z"]


def test_service_ports_merge_by_port_and_labels_by_key() -> None:
    obj = {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"ports": [{"port": 80, "name": "web"}]}}
    patch = {"metadata": {"labels": {"a": None, "c": "3"}}, "spec": {"ports": [{"port": 80, "nodePort": 30080}]}}
    assert strategic(SERVICE, obj, patch) == {
        "metadata": {"labels": {"b": "2", "c": "3"}},
        "spec": {"ports": [{"port": 80, "name": "web", "nodePort": 30080}]},
    }


def test_an_item_without_its_key() -> None:
    with pytest.raises(BadRequest, match="does not contain declared merge key: name"):
        strategic(POD, containers("a"), {"spec": {"containers": [{"image": "x"}]}})


@given(st.lists(st.sampled_from("abcde"), unique=True), st.lists(st.sampled_from("abcde"), unique=True))
def test_merged_lists_hold_every_item_once(first: list[str], second: list[str]) -> None:
    merged = strategic(POD, containers(*first), containers(*second))
    found = names(merged)
    assert sorted(found) == sorted(set(first) | set(second))
    assert [name for name in found if name in second] == second


def test_patch_types() -> None:
    assert patch_type_of(POD, "application/strategic-merge-patch+json; charset=utf-8") == "strategic"
    with pytest.raises(UnsupportedMediaType, match="accepted media types include: application/json-patch"):
        patch_type_of(POD, "application/json")
    with pytest.raises(BadRequest):
        apply_patch(POD, {}, [], "merge")


@pytest.mark.parametrize(
    "patch",
    [
        {"$retainKeys": 7},
        {"spec": {"$setElementOrder/containers": "web"}},
        {"spec": {"$deleteFromPrimitiveList/containers": {}}},
        {"spec": {"$deleteFromPrimitiveList/replicas": [1]}},
    ],
)
def test_malformed_directives(patch: Any) -> None:
    with pytest.raises(BadRequest, match="invalid patch format of"):
        strategic(POD, {"metadata": {"name": "p"}, "spec": {"containers": [], "replicas": 1}}, patch)


def test_what_is_no_item_beside_a_replacing_one() -> None:
    patch = {"spec": {"containers": [{"$patch": "replace"}, 5, {"name": "a", "image": None}]}}
    assert strategic(POD, {"spec": {"containers": [{"name": "b"}]}}, patch)["spec"]["containers"] == [5, {"name": "a"}]
