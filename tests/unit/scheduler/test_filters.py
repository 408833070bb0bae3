"""Why a node does not do, plugin by plugin, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.scheduler.pod_info import PodInfo
from tests.unit.scheduler.cluster import chosen, node, pod, why

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def test_insufficient_resources_are_counted_per_resource() -> None:
    one = pod(requests={"cpu": "2", "memory": "1Gi"})
    nodes = [node("a", cpu="1"), node("b", cpu="1", memory="512Mi"), node("c", memory="512Mi")]
    assert why(one, *nodes) == "0/3 nodes are available: 2 Insufficient cpu, 2 Insufficient memory."


def test_what_pods_use_is_taken_off() -> None:
    full = node("full", cpu="1")
    full.add(pod("big", requests={"cpu": "900m"}))
    assert chosen(pod(requests={"cpu": "100m"}), full) == "full"
    assert why(pod(requests={"cpu": "101m"}), full) == "0/1 nodes are available: 1 Insufficient cpu."
    full.remove(next(iter(full.pods)))
    assert chosen(pod(requests={"cpu": "1"}), full) == "full"


def test_pods_per_node() -> None:
    one = node("a", pods="1")
    one.add(pod())
    assert why(pod(), one) == "0/1 nodes are available: 1 Too many pods."


def test_a_disk_that_pods_name_themselves_is_for_one_of_them_on_a_node() -> None:
    def naming(name: str, *, reads: bool = False) -> PodInfo:
        return pod(volumes=[{"name": "v", "gcePersistentDisk": {"pdName": name, "readOnly": reads}}])

    one = node("a")
    one.add(naming("mine"))
    one.add(naming("read", reads=True))
    assert why(naming("mine"), one) == "0/1 nodes are available: 1 node(s) had no available disk."
    assert why(naming("read"), one) == "0/1 nodes are available: 1 node(s) had no available disk."
    assert chosen(naming("read", reads=True), one) == chosen(naming("other"), one) == "a"


def test_extended_resources() -> None:
    assert why(pod(requests={"example.com/gpu": "1"}), node("a")) == (
        "0/1 nodes are available: 1 Insufficient example.com/gpu."
    )


def test_node_selector_and_affinity() -> None:
    ssd, hdd = node("ssd", disk="ssd", size="10"), node("hdd", disk="hdd", size="20")
    refused = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
    assert chosen(pod(nodeSelector={"disk": "ssd"}), ssd, hdd) == "ssd"
    assert why(pod(nodeSelector={"disk": "tape"}), ssd, hdd) == refused

    def affinity(*expressions: dict[str, Any], fields: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        term = {"matchExpressions": list(expressions), "matchFields": fields or []}
        return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}

    cases = [
        ({"key": "disk", "operator": "In", "values": ["hdd", "tape"]}, "hdd"),
        ({"key": "disk", "operator": "NotIn", "values": ["hdd"]}, "ssd"),
        ({"key": "size", "operator": "Gt", "values": ["15"]}, "hdd"),
        ({"key": "size", "operator": "Lt", "values": ["15"]}, "ssd"),
        ({"key": "rack", "operator": "Exists"}, refused),
    ]
    for expression, expected in cases:
        assert chosen(pod(affinity=affinity(expression)), ssd, hdd) == expected
    by_name = [{"key": "metadata.name", "operator": "In", "values": ["hdd"]}]
    assert chosen(pod(affinity=affinity(fields=by_name)), ssd, hdd) == "hdd"
    assert why(pod(affinity=affinity()), ssd, hdd) == refused


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({}, False),
        ({"key": "fire", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "fire", "value": "big"}, True),
        ({"key": "fire", "value": "small"}, False),
        ({"key": "fire", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_taints(toleration: dict[str, str], fits: bool) -> None:
    tainted = node("a", taints=[{"key": "fire", "value": "big", "effect": "NoSchedule"}])
    one = pod(tolerations=[toleration] if toleration else [])
    refused = "0/1 nodes are available: 1 node(s) had untolerated taint(s)."
    assert chosen(one, tainted) == ("a" if fits else refused)


def test_cordoned_nodes() -> None:
    assert why(pod(), node("a", unschedulable=True)) == "0/1 nodes are available: 1 node(s) were unschedulable."
    tolerating = pod(tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}])
    assert chosen(tolerating, node("a", unschedulable=True)) == "a"


def test_host_ports() -> None:
    busy, free = node("busy"), node("free")
    busy.add(pod(host_port=8080))
    assert chosen(pod(host_port=8080), busy, free) == "free"
    free.add(pod(host_port=8080))
    assert why(pod(host_port=8080), busy, free) == (
        "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports."
    )


def spread(skew: int = 1, key: str = "kubernetes.io/hostname", **more: Any) -> list[dict[str, Any]]:
    selector = {"matchLabels": {"app": "web"}}
    constraint = {"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}
    return [{**constraint, **more}]


def test_topology_spread_constraints() -> None:
    labels = {"app": "web"}
    crowded, empty = node("crowded", zone="a"), node("empty", zone="b")
    crowded.add(pod(labels=labels))
    assert chosen(pod(labels=labels, topologySpreadConstraints=spread()), crowded, empty) == "empty"
    empty.unschedulable = True
    assert why(pod(labels=labels, topologySpreadConstraints=spread()), crowded, empty) == (
        "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable."
    )
    assert chosen(pod(labels=labels, topologySpreadConstraints=spread(2)), crowded, empty) == "crowded"
    assert why(pod(labels=labels, topologySpreadConstraints=spread(key="rack")), crowded) == (
        "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label)."
    )
    assert why(pod(labels=labels, topologySpreadConstraints=spread(minDomains=3)), crowded) == (
        "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints."
    )


def near(which: str, key: str = "zone", **term: Any) -> dict[str, Any]:
    wanted = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": key, **term}
    return {which: {REQUIRED: [wanted]}}


def test_pod_affinity_follows_pods_by_topology() -> None:
    a, b = node("a", zone="1"), node("b", zone="2")
    refused = "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."
    assert why(pod(affinity=near("podAffinity")), a, b) == refused
    b.add(pod("db", labels={"app": "db"}))
    assert chosen(pod(affinity=near("podAffinity")), a, b) == "b"
    other = pod(namespace="other", affinity=near("podAffinity"))
    assert why(other, a, b) == refused
    anywhere = near("podAffinity", namespaceSelector={"matchLabels": {"team": "a"}})
    assert chosen(pod(namespace="other", affinity=anywhere), a, b) == "b"


def test_the_first_pod_of_a_group_that_wants_to_be_together_may_go_anywhere() -> None:
    assert chosen(pod(labels={"app": "db"}, affinity=near("podAffinity")), node("a", zone="1")) == "a"


def test_pod_anti_affinity_holds_both_ways() -> None:
    a, b = node("a", zone="1"), node("b", zone="2")
    a.add(pod("db", labels={"app": "db"}))
    assert chosen(pod(affinity=near("podAntiAffinity")), a, b) == "b"
    b.add(pod("shy", affinity=near("podAntiAffinity")))
    assert why(pod("db2", labels={"app": "db"}, affinity=near("podAntiAffinity")), a, b) == (
        "0/2 nodes are available: 1 node(s) didn't match pod anti-affinity rules,"
        " 1 node(s) didn't satisfy existing pods anti-affinity rules."
    )


def test_what_is_not_supported_is_refused_by_its_path() -> None:
    assert "pod uses spec.resourceClaims, which" in why(pod(resourceClaims=[{"name": "gpu"}]), node("a"))


def test_a_claim_that_is_not_there_is_said_once_for_all_nodes() -> None:
    one = pod(volumes=[{"name": "x", "emptyDir": {}}, {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}])
    said = '0/2 nodes are available: persistentvolumeclaim "data" not found.'
    assert why(one, node("a"), node("b")) == said
