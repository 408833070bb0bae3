"""Which of the nodes that do is taken."""

from __future__ import annotations

from collections import Counter

from tests.unit.scheduler.cluster import chosen, node, pod

PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def test_the_emptier_node() -> None:
    busy, idle = node("busy"), node("idle")
    busy.add(pod(requests={"cpu": "2", "memory": "4Gi"}))
    assert chosen(pod(requests={"cpu": "1", "memory": "1Gi"}), busy, idle) == "idle"


def test_the_node_that_stays_balanced() -> None:
    skewed, even = node("skewed"), node("even")
    skewed.add(pod(requests={"cpu": "2"}))
    even.add(pod(requests={"cpu": "1", "memory": "2Gi"}))
    assert chosen(pod(requests={"cpu": "1", "memory": "100Mi"}), skewed, even) == "even"


def test_replicas_of_one_owner_spread_whatever_else_is_there() -> None:
    nodes = [node(f"n{number}", zone="a") for number in range(3)]
    nodes[0].add(pod("other", requests={"cpu": "500m"}))
    placed: Counter[str] = Counter()
    for number in range(6):
        replica = pod(f"web-{number}", owner="rs")
        name = chosen(replica, *nodes)
        next(one for one in nodes if one.name == name).add(replica)
        placed[name] += 1
    assert placed == {"n0": 2, "n1": 2, "n2": 2}


def test_preferred_affinity_and_taints_to_prefer_not() -> None:
    a, b = node("a", disk="ssd"), node("b")
    term = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    wants = pod(affinity={"nodeAffinity": {PREFERRED: [{"weight": 50, "preference": term}]}})
    assert chosen(wants, a, b) == "a"
    put_off = node("c", taints=[{"key": "old", "effect": "PreferNoSchedule"}])
    assert chosen(pod(), put_off, b) == "b"


def test_preferred_nearness_to_pods() -> None:
    a, b = node("a", zone="1"), node("b", zone="2")
    b.add(pod("db", labels={"app": "db"}))
    term = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "zone"}
    for which, expected in (("podAffinity", "b"), ("podAntiAffinity", "a")):
        wants = pod(affinity={which: {PREFERRED: [{"weight": 100, "podAffinityTerm": term}]}})
        assert chosen(wants, a, b) == expected


def test_soft_spread_constraints() -> None:
    labels = {"app": "web"}
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    a, b = node("a", zone="1"), node("b", zone="2")
    a.add(pod(labels=labels))
    assert chosen(pod(labels=labels, topologySpreadConstraints=[constraint]), a, b) == "b"


def test_pods_that_are_there_have_wishes_too() -> None:
    term = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
    preferred = [{"weight": 50, "podAffinityTerm": term}]
    web = {"app": "web"}
    for affinity, best in (
        ({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}, "a"),
        ({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}, "b"),
        ({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}, "a"),
    ):
        a, b = node("a"), node("b")
        a.add(pod("cache", affinity=affinity))
        assert chosen(pod(labels=web), a, b) == best, affinity
