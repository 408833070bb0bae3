"""Nodes of a running cluster: added and removed, switched off and on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netsim.inventory import find
from tests.conftest import Eventually
from tests.e2e.conftest import Cluster, cluster_name


@pytest.fixture(scope="module")
def cluster(nothing_left_behind: None) -> Iterator[Cluster]:
    own = Cluster(cluster_name("nodes"))
    own.netsim("up", "--nodes", "1")
    try:
        yield own
    finally:
        own.netsim("down")


def node(cluster: Cluster, *words: str) -> str:
    return cluster.netsim("node", *words).stdout


def machines(cluster: Cluster) -> dict[str, Any]:
    return {each["name"]: each for each in json.loads(node(cluster, "list", "-o", "json"))}


def marked(cluster: Cluster, name: str) -> list[str]:
    """What of a node is in the kernel and on the disk."""
    found = find(cluster.name)
    places = [Path("/run/netsim") / cluster.name, Path("/var/lib/netsim/clusters") / cluster.name]
    files = [str(path) for place in places for path in place.rglob(f"*{name}*")]
    # Cgroups come and go with containers; a walk passes over those that have gone.
    walked = [Path(parent) / each for top in found.cgroups for parent, below, _ in os.walk(top) for each in below]
    cgroups = [str(path) for path in walked if name in path.name]
    return [*(entry.name for entry in found.namespaces if name in entry.name), *files, *cgroups]


def daemon(cluster: Cluster) -> int:
    """Its pid; one of the nodes is off, so the status may be a bad one."""
    return int(json.loads(cluster.netsim("status", "-o", "json", check=False).stdout)["daemon"]["pid"])


def pods_on(cluster: Cluster, name: str) -> dict[str, Any]:
    listed = cluster.json("get", "pods", f"--field-selector=spec.nodeName={name}")["items"]
    return {pod["metadata"]["name"]: pod for pod in listed}


def test_a_node_comes_with_what_was_asked_for_and_goes_without_a_trace(
    cluster: Cluster, eventually: Eventually
) -> None:
    asked = ["--zone", "us-central1-b", "--cpu", "3", "--memory", "2Gi", "--max-pods", "7", "--label", "disk=ssd"]
    node(cluster, "add", "edge", *asked, "--taint", "edge=yes:PreferNoSchedule")
    edge = cluster.json("get", "node", "edge")
    assert edge["metadata"]["labels"]["disk"] == "ssd"
    assert edge["metadata"]["labels"]["topology.kubernetes.io/zone"] == "us-central1-b"
    assert {key: edge["status"]["capacity"][key] for key in ("cpu", "memory", "pods")} == {
        "cpu": "3",
        "memory": "2Gi",
        "pods": "7",
    }
    assert {"key": "edge", "value": "yes", "effect": "PreferNoSchedule"} in edge["spec"]["taints"]
    node_selector = '{"spec":{"template":{"spec":{"nodeSelector":{"disk":"ssd"},"terminationGracePeriodSeconds":1}}}}'
    cluster.out("create", "deployment", "web", "--image=nginx", "--replicas=2")
    cluster.out("patch", "deployment", "web", "-p", node_selector)
    cluster.out("rollout", "status", "deployment/web", "--timeout=120s")
    assert len(pods_on(cluster, "edge")) == 2
    assert marked(cluster, "edge")
    node(cluster, "remove", "edge")
    assert cluster.kubectl("get", "node", "edge", check=False).returncode == 1
    assert not pods_on(cluster, "edge")
    assert marked(cluster, "edge") == []
    assert "edge" not in machines(cluster)

    def waiting() -> bool:
        listed = cluster.json("get", "pods")["items"]
        assert len(listed) == 2
        return all(pod["status"]["phase"] == "Pending" for pod in listed)

    eventually(waiting)
    cluster.out("delete", "deployment", "web")


@pytest.mark.parametrize(("off", "state"), [("crash", "crashed"), ("stop", "stopped")])
def test_a_node_that_was_off_has_its_address_and_its_pods_begin_anew(
    cluster: Cluster, eventually: Eventually, off: str, state: str
) -> None:
    if "node-2" not in machines(cluster):
        assert "node node-2 is ready" in node(cluster, "add")
    name = f"on-{off}"
    overrides = '{"spec":{"nodeName":"node-2"}}'
    cluster.out("run", name, "--image=nginx", f"--overrides={overrides}")
    cluster.out("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")
    before = cluster.json("get", "node", "node-2")
    uid = cluster.json("get", "pod", name)["metadata"]["uid"]
    node(cluster, off, "node-2")
    assert machines(cluster)["node-2"]["state"] == state
    assert cluster.json("get", "pod", name)["status"]["phase"] == "Running"
    assert [entry for entry in find(cluster.name).namespaces if name in entry.name or "node-2" in entry.name] == []
    status = cluster.netsim("status", "-o", "json", check=False)
    assert f"node node-2 is {state}" in json.loads(status.stdout)["problems"]
    active = {
        each["nextHop"]: each["active"] for each in json.loads(cluster.netsim("vpc", "routes", "-o", "json").stdout)
    }
    assert (active["node-1"], active["node-2"]) == (True, False)
    nowhere = cluster.netsim("scapy", f"pod/{name}", "--command", "print(conf.iface)", check=False)
    assert (nowhere.returncode, f"node node-2 is {state}" in nowhere.stderr) == (1, True)
    refused = cluster.netsim("node", off, "node-2", check=False)
    assert (refused.returncode, f"node node-2 does not run: it is {state}" in refused.stderr) == (1, True)
    node(cluster, "start", "node-2")
    after = cluster.json("get", "node", "node-2")
    assert after["status"]["addresses"] == before["status"]["addresses"]
    assert after["status"]["nodeInfo"]["bootID"] != before["status"]["nodeInfo"]["bootID"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]

    def again() -> bool:
        pod = cluster.json("get", "pod", name)
        assert pod["metadata"]["uid"] == uid
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
        assert pod["status"]["containerStatuses"][0]["ready"]
        return "Rebooted" in cluster.out("get", "events", "--field-selector=involvedObject.name=node-2")

    eventually(again)
    cluster.out("delete", "pod", name, "--now")


def test_a_deleted_node_object_stays_away_until_the_node_is_started(cluster: Cluster) -> None:
    cluster.out("delete", "node", "node-1")
    assert machines(cluster)["node-1"]["state"] == "running"
    node(cluster, "start", "node-1")
    ready = cluster.out("get", "node", "node-1", "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}")
    assert ready == "True"
    again = cluster.netsim("node", "start", "node-1", check=False)
    assert "node node-1 runs already" in again.stderr


def test_a_daemon_that_starts_again_has_the_same_nodes(cluster: Cluster) -> None:
    node(cluster, "add", "late", "--cpu", "2")
    node(cluster, "add", "off")
    node(cluster, "crash", "off")
    before = {name: (each["address"], each["state"]) for name, each in machines(cluster).items()}
    os.kill(daemon(cluster), signal.SIGKILL)
    cluster.netsim("up")
    assert {name: (each["address"], each["state"]) for name, each in machines(cluster).items()} == before
    assert cluster.json("get", "node", "late")["status"]["capacity"]["cpu"] == "2"
    node(cluster, "remove", "late")
    node(cluster, "remove", "off")


def test_what_cannot_be_is_refused_in_words(cluster: Cluster) -> None:
    for words, said in [
        (["add", "node-1"], "there is a node node-1 already"),
        (["add", "router"], "no name for a node"),
        (["add", "--subnet", "none"], "there is no subnet none"),
        (["add", "--cpu", "many"], "'many' is no quantity"),
        (["add", "--taint", "a=b:Never"], "the effect is one of"),
        (["stop", "node-99"], "there is no node node-99"),
    ]:
        refused = cluster.netsim("node", *words, check=False)
        assert refused.returncode == 1, words
        assert said in refused.stderr, words
