"""Small rules: load-balancer addresses, node taints, times of eviction, the graph of owners."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from controlplane.api.kinds import CONFIG_MAP, POD
from controlplane.api.types import Object
from controlplane.controllers.address_pool import NoAddress, allocate
from controlplane.controllers.node_taints import managed_taints
from controlplane.controllers.ownership_graph import Graph
from controlplane.controllers.taint_eviction import eviction_time

POOL = ipaddress.IPv4Network("203.0.113.0/29")
STAMP = "2026-01-01T00:00:00Z"
ADDED = 1767225600.0


def test_the_lowest_free_address_and_never_the_ends_of_the_range() -> None:
    used: set[str] = set()
    for _ in range(6):
        used.add(allocate(POOL, used, ""))
    assert used == {f"203.0.113.{n}" for n in range(1, 7)}
    with pytest.raises(NoAddress, match=r"no free address left in 203\.0\.113\.0/29"):
        allocate(POOL, used, "")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("203.0.113.3", "already in use"),
        ("203.0.113.0", "not in the load balancer range"),
        ("203.0.114.1", "not in the load balancer range"),
        ("web", "is not an IPv4 address"),
    ],
)
def test_a_wanted_address_that_cannot_be(wanted: str, why: str) -> None:
    with pytest.raises(NoAddress, match=why):
        allocate(POOL, {"203.0.113.3"}, wanted)


def node(ready: str, *, unschedulable: bool = False, taints: list[dict[str, Any]] | None = None) -> Object:
    return {
        "spec": {"unschedulable": unschedulable, "taints": taints or []},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def test_taints_follow_conditions_and_leave_others_alone() -> None:
    own = {"key": "mine", "effect": "NoSchedule"}
    tainted = managed_taints(node("False", taints=[own]), STAMP)
    assert tainted is not None
    assert [(taint["key"], taint["effect"]) for taint in tainted] == [
        ("mine", "NoSchedule"),
        ("node.kubernetes.io/not-ready", "NoSchedule"),
        ("node.kubernetes.io/not-ready", "NoExecute"),
    ]
    assert managed_taints(node("False", taints=tainted), STAMP) is None
    unknown = managed_taints(node("Unknown", taints=tainted), STAMP)
    assert unknown is not None
    assert {taint["key"] for taint in unknown} == {"mine", "node.kubernetes.io/unreachable"}
    assert managed_taints(node("True", taints=unknown), STAMP) == [own]


def test_eviction_is_due_at_the_shortest_toleration_from_the_taints_own_time() -> None:
    taint = {"key": "fire", "effect": "NoExecute", "timeAdded": STAMP}
    every = {"operator": "Exists"}
    assert eviction_time([taint], [], ADDED + 5) == ADDED + 5
    assert eviction_time([taint], [every], ADDED) is None
    assert eviction_time([taint], [every, {**every, "tolerationSeconds": 300}], ADDED + 5) == ADDED + 300
    assert eviction_time([taint], [{"key": "fire", "value": "big", "tolerationSeconds": 9}], ADDED) == ADDED
    assert eviction_time([], [], ADDED) is None


def owned(name: str, *owners: str, **more: Any) -> Object:
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": owner} for owner in owners]
    return {"metadata": {"namespace": "ns", "name": name, "uid": name, "ownerReferences": references, **more}}


def test_dependents_are_known_before_and_after_their_owner() -> None:
    graph = Graph()
    graph.observe(POD, owned("pod", "owner"))
    assert [one.name for one in graph.dependents("owner")] == ["pod"]
    graph.observe(CONFIG_MAP, owned("owner"))
    graph.remove("owner")
    assert [one.name for one in graph.dependents("owner")] == ["pod"]
    graph.observe(POD, owned("pod", "other"))
    assert graph.dependents("owner") == []
    graph.remove("pod")
    assert graph.dependents("other") == []


def test_only_what_matters_to_a_collector_is_news() -> None:
    graph = Graph()
    assert graph.observe(POD, owned("pod", "owner"))[1]
    assert not graph.observe(POD, owned("pod", "owner", labels={"a": "b"}, resourceVersion="2"))[1]
    node_, news = graph.observe(POD, owned("pod", "owner", deletionTimestamp=STAMP, finalizers=["foregroundDeletion"]))
    assert news
    assert node_.waits_for_dependents
