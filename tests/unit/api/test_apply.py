"""Server-side apply: merging, giving up fields, shared fields, conflicts and takeovers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.apply import LAST_APPLIED, server_side_apply
from controlplane.api.definitions import definitions
from controlplane.api.errors import BadRequest, Conflict
from controlplane.api.fieldset import from_fields_v1, leaves, shown, to_fields_v1
from controlplane.api.kinds import CONFIG_MAP, DEPLOYMENT, POD, SERVICE
from controlplane.api.ownership import UPDATERS_BOUND, track_create, track_update
from controlplane.api.types import Object

NOW = "2026-01-01T00:00:00Z"


def config(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}


def apply(live: Object | None, wanted: Object, manager: str = "me", *, force: bool = False) -> Object:
    before = copy.deepcopy((live, wanted))
    applied = server_side_apply(CONFIG_MAP, live, wanted, manager, now=NOW, force=force)
    assert (live, wanted) == before
    return applied


def owned(obj: Object) -> dict[str, list[str]]:
    entries = obj["metadata"].get("managedFields", ())
    return {one["manager"]: sorted(shown(path) for path in from_fields_v1(one["fieldsV1"])) for one in entries}


def test_the_first_apply_creates() -> None:
    applied = apply(None, config(a="1"))
    assert applied["data"] == {"a": "1"}
    assert applied["metadata"]["managedFields"] == [
        {
            "manager": "me",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": NOW,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:a": {}}},
        }
    ]


def test_fields_that_are_no_longer_declared_go() -> None:
    live = apply(None, config(a="1", b="2"))
    live["data"]["defaulted"] = "x"
    assert apply(live, config(a="3"))["data"] == {"a": "3", "defaulted": "x"}


def test_fields_that_others_own_too_stay() -> None:
    live = apply(apply(None, config(a="1", b="2")), config(b="2"), "other")
    assert owned(live) == {"me": [".data.a", ".data.b"], "other": [".data.b"]}
    assert apply(live, config(a="1"))["data"] == {"a": "1", "b": "2"}


def test_conflicts() -> None:
    live = apply(apply(None, config(a="1", b="2")), config(c="3"), "other")
    with pytest.raises(Conflict) as caught:
        apply(live, config(a="x"), "other")
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "me": .data.a'
    assert caught.value.details == {
        "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "me"', "field": ".data.a"}]
    }
    with pytest.raises(Conflict) as several:
        apply(live, config(a="x", b="y"), "other")
    assert several.value.message == 'Apply failed with 2 conflicts: conflicts with "me":\n- .data.a\n- .data.b'
    taken = apply(live, config(a="x"), "other", force=True)
    assert taken["data"] == {"a": "x", "b": "2"}
    assert owned(taken) == {"me": [".data.b"], "other": [".data.a"]}


def test_what_was_there_before_the_first_apply_is_owned() -> None:
    live = config(a="1")
    with pytest.raises(Conflict, match=r'conflict with "before-first-apply" using v1 at 2026-01-01T00:00:00Z: .data.a'):
        apply(live, config(a="2"))
    same = apply(live, config(a="1", b="2"))
    assert owned(same) == {"me": [".data.a", ".data.b"], "before-first-apply": [".data.a"]}


def test_updates_are_followed_from_the_first_apply_on() -> None:
    untouched = config(a="1")
    assert track_update(CONFIG_MAP, untouched, config(a="2"), "edit", now=NOW) == config(a="2")
    live = apply(None, config(a="1", b="2"))
    edited = copy.deepcopy(live)
    edited["data"] = {"a": "9", "c": "3"}
    stored = track_update(CONFIG_MAP, live, edited, "edit", now=NOW)
    assert owned(stored) == {"edit": [".data.a", ".data.c"]}
    with pytest.raises(Conflict, match='conflict with "edit" using v1'):
        apply(stored, config(a="1"))
    again = track_update(CONFIG_MAP, stored, stored | {"data": {"a": "9"}}, "edit", now=NOW)
    assert owned(again) == {"edit": [".data.a"]}
    given_up = copy.deepcopy(stored)
    given_up["metadata"]["managedFields"] = [{}]
    assert "managedFields" not in track_update(CONFIG_MAP, stored, given_up, "edit", now=NOW)["metadata"]


def test_status_updates_belong_to_their_subresource() -> None:
    body: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 1}}
    live = server_side_apply(DEPLOYMENT, None, body | {"status": {"replicas": 9}}, "me", now=NOW)
    assert "status" not in live
    counted = live | {"status": {"replicas": 1}}
    stored = track_update(DEPLOYMENT, live, counted, "controller", now=NOW, subresource="status")
    assert [entry.get("subresource") for entry in stored["metadata"]["managedFields"]] == [None, "status"]
    scaled = stored | {"spec": {"replicas": 3}}
    stored = track_update(DEPLOYMENT, stored, scaled, "scaler", now=NOW, subresource="scale")
    with pytest.raises(
        Conflict, match=r'conflict with "scaler" with subresource "scale" using apps/v1 at .*: .spec.replicas'
    ):
        server_side_apply(DEPLOYMENT, stored, body, "me", now=NOW)


def test_the_status_can_be_applied_by_itself() -> None:
    body: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "b"}}}
    live = server_side_apply(DEPLOYMENT, None, body | {"spec": {"replicas": 1}}, "me", now=NOW)
    status = body | {"spec": {"replicas": 5}, "status": {"replicas": 1}}
    applied = server_side_apply(DEPLOYMENT, live, status, "me", now=NOW, subresource="status")
    assert (applied["spec"], applied["status"]) == ({"replicas": 1}, {"replicas": 1})
    (_, by_status) = applied["metadata"]["managedFields"]
    assert (by_status["subresource"], by_status["fieldsV1"]) == ("status", {"f:status": {"f:replicas": {}}})


def test_an_apply_that_changes_nothing_keeps_its_time() -> None:
    live = apply(apply(None, config(a="1")), config(b="1"), "other")
    assert server_side_apply(CONFIG_MAP, live, config(a="1"), "me", now="2030-01-01T00:00:00Z") == live
    later = server_side_apply(CONFIG_MAP, live, config(a="2"), "me", now="2030-01-01T00:00:00Z")
    times = {entry["manager"]: entry["time"] for entry in later["metadata"]["managedFields"]}
    assert times == {"me": "2030-01-01T00:00:00Z", "other": NOW}


def test_kubectl_takes_over_from_its_client_side_apply() -> None:
    live = track_create(CONFIG_MAP, config(a="1", b="1"), "kubectl-client-side-apply", now=NOW)
    live["metadata"]["annotations"] = {LAST_APPLIED: '{"metadata":{"name":"c"},"data":{"a":"1"}}'}
    with pytest.raises(Conflict):
        apply(live, config(a="2"), "other")
    with pytest.raises(Conflict):
        apply(live, config(a="2", b="2"), "kubectl")
    applied = apply(live, config(a="2"), "kubectl")
    assert owned(applied) == {"kubectl": [".data.a"], "kubectl-client-side-apply": [".data.b"]}
    text = '{"apiVersion":"v1","data":{"a":"2"},"kind":"ConfigMap","metadata":{"name":"c"}}\n'
    assert applied["metadata"]["annotations"] == {LAST_APPLIED: text}


def test_callers_may_set_owners_that_make_sense() -> None:
    live = track_create(CONFIG_MAP, config(a="1"), "one", now=NOW)
    renamed = copy.deepcopy(live)
    renamed["metadata"]["managedFields"][0]["manager"] = "two"
    assert owned(track_update(CONFIG_MAP, live, renamed, "three", now=NOW)) == {"two": [".data.a"]}
    renamed["metadata"]["managedFields"][0]["operation"] = "Nonsense"
    assert track_update(CONFIG_MAP, live, renamed, "three", now=NOW) == live


def test_the_oldest_of_many_updaters_share_an_entry() -> None:
    live = track_create(CONFIG_MAP, config(m="0"), "m", now=NOW)
    for number in range(UPDATERS_BOUND + 3):
        changed = copy.deepcopy(live)
        changed["data"][f"k{number:02}"] = "x"
        live = track_update(CONFIG_MAP, live, changed, f"m{number}", now=f"2027-01-01T00:00:{number:02}Z")
    assert len(live["metadata"]["managedFields"]) == UPDATERS_BOUND
    assert owned(live)["ancient-changes"] == [".data.k00", ".data.k01", ".data.k02", ".data.k03", ".data.m"]


def pod(*containers: dict[str, Any]) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": list(containers)}}


def test_keyed_lists() -> None:
    live = server_side_apply(POD, None, pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"}), "me", now=NOW)
    assert owned(live)["me"][:2] == ['.spec.containers[name="a"]', '.spec.containers[name="a"].image']
    live["spec"]["containers"][0]["imagePullPolicy"] = "Always"
    injected = server_side_apply(POD, live, pod({"name": "side", "image": "s"}), "mesh", now=NOW)
    changed = server_side_apply(POD, injected, pod({"name": "a", "image": "2"}), "me", now=NOW)
    assert changed["spec"]["containers"] == [
        {"name": "a", "image": "2", "imagePullPolicy": "Always"},
        {"name": "side", "image": "s"},
    ]


def test_an_item_whose_owner_lets_go_stays_while_others_own_fields_of_it() -> None:
    live = server_side_apply(POD, None, pod({"name": "a", "image": "1", "tty": True}), "me", now=NOW)
    shared = server_side_apply(POD, live, pod({"name": "a", "image": "1"}), "other", now=NOW)
    let_go = server_side_apply(POD, shared, pod(), "me", now=NOW)
    assert let_go["spec"]["containers"] == [{"name": "a", "image": "1"}]


def test_ports_are_keyed_with_their_default_protocol() -> None:
    body: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    live = server_side_apply(SERVICE, None, body, "me", now=NOW)
    live["spec"]["ports"][0] |= {"protocol": "TCP", "targetPort": 80}
    named = copy.deepcopy(body)
    named["spec"]["ports"][0]["name"] = "web"
    applied = server_side_apply(SERVICE, live, named, "me", now=NOW)
    assert applied["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80, "name": "web"}]


def test_managed_fields_are_not_for_callers() -> None:
    wanted = config(a="1")
    wanted["metadata"]["managedFields"] = [{"manager": "x"}]
    with pytest.raises(BadRequest, match=r"metadata.managedFields must be nil"):
        apply(None, wanted)


data = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"), min_size=1)


@given(data, data, data)
def test_apply_is_idempotent_and_what_is_declared_is_there(first: Any, second: Any, third: Any) -> None:
    live = apply(apply(None, config(**first)), config(**second), "other", force=True)
    once = apply(live, config(**third), force=True)
    assert apply(once, config(**third)) == once
    assert third.items() <= once["data"].items()
    assert set(once["data"]) <= set(third) | set(second)


@given(st.lists(st.sampled_from("abc"), unique=True), st.lists(st.sampled_from("abc"), unique=True))
def test_fields_v1_and_back(containers: list[str], arguments: list[str]) -> None:
    body = pod(*({"name": name, "args": arguments, "resources": {}} for name in containers))
    paths = set(leaves(definitions()[POD.definition], body))
    assert from_fields_v1(to_fields_v1(paths)) == paths


def test_what_has_lost_its_last_content_is_no_conflict() -> None:
    live = server_side_apply(POD, None, pod(), "one", now=NOW)
    empty = pod()
    empty["spec"] = {}
    live = server_side_apply(POD, live, empty, "two", now=NOW)
    assert server_side_apply(POD, live, empty, "one", now=NOW)["spec"] == {}
