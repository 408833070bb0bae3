"""Volumes in use by the real kubectl: by whom, on which nodes, and what stays when those go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster
from tests.e2e.storage_kit import Storage, claim, pod


@pytest.fixture
def storage(cluster: Cluster, namespace: str, eventually: Eventually) -> Storage:
    return Storage(cluster, namespace, eventually)


def test_a_volume_of_one_node_is_not_had_by_two(storage: Storage) -> None:
    storage.apply(claim("data"), pod("first", "data", node="node-1"))
    storage.ready("first")
    storage.apply(pod("second", "data", node="node-2"))
    name = storage.get("pvc", "data")["spec"]["volumeName"]
    said = f'Multi-Attach error for volume "{name}" Volume is already used by pod(s) first'
    storage.until_event("second", "Warning", "FailedAttachVolume", said)
    attachments = [one for one in storage.cluster.json("get", "volumeattachments")["items"] if of_volume(one, name)]
    assert [one["spec"]["nodeName"] for one in attachments] == ["node-1"]
    assert attachments[0]["status"]["attached"] is True
    in_use = storage.get("node", "node-1")["status"]["volumesInUse"]
    assert any(one.endswith(name) for one in in_use)
    storage.apply(pod("third", "data", node="node-1"))
    storage.ready("third")
    storage.delete("pod", "first", "third")
    storage.ready("second")
    storage.until_event(
        "second", "Normal", "SuccessfulAttachVolume", f'AttachVolume.Attach succeeded for volume "{name}"'
    )
    storage.delete("pod", "second")
    storage.delete("pvc", "data")


def of_volume(attachment: Any, name: str) -> bool:
    return bool(attachment["spec"]["source"].get("persistentVolumeName") == name)


def test_a_claim_of_one_pod_is_not_had_by_two(storage: Storage) -> None:
    storage.apply(claim("single", modes="ReadWriteOncePod"), pod("first", "single"))
    storage.ready("first")
    storage.apply(pod("second", "single"))
    storage.until_event(
        "second",
        "Warning",
        "FailedScheduling",
        "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
    )
    storage.delete("pod", "first")
    storage.ready("second")
    storage.delete("pod", "second")
    storage.delete("pvc", "single")


def test_a_shared_volume_is_seen_from_every_node(storage: Storage) -> None:
    shared = claim("shared", modes="ReadWriteMany", storageClassName="nfs")
    storage.apply(shared, pod("one", "shared", node="node-1"), pod("two", "shared", node="node-2"))
    storage.ready("one", "two")
    storage.sh("one", "echo from one > /v/file")
    assert storage.sh("two", "cat /v/file") == "from one\n"
    assert "No space left" in storage.sh("two", "head -c 20000000 /dev/zero > /v/big")
    name = storage.get("pvc", "shared")["spec"]["volumeName"]
    assert storage.get("pv", name)["spec"]["nfs"]["server"] == "nfs.netsim.internal"
    said = storage.out(
        "get", "events", "-o", "jsonpath={.items[?(@.reason=='ProvisioningSucceeded')].source.component}"
    )
    assert said == "netsim.io/nfs"
    storage.delete("pod", "one", "two")
    storage.delete("pvc", "shared")
    storage.eventually(lambda: not storage.find("pv", name))


def test_exports_of_the_command_line(storage: Storage) -> None:
    path = f"/{storage.namespace}"
    added = storage.cluster.netsim("storage", "export", "add", f"files.example:{path}").stdout
    directory = Path(added.split()[-1])
    (directory / "file").write_text("put there\n")
    storage.apply(pod("reads", source={"nfs": {"server": "files.example", "path": path}}))
    storage.ready("reads")
    assert storage.sh("reads", "cat /v/file; echo more > /v/more") == "put there\n"
    assert (directory / "more").read_text() == "more\n"
    refused = storage.cluster.netsim("storage", "export", "remove", f"files.example:{path}", check=False)
    assert refused.returncode == 1
    assert "is mounted on node-" in refused.stderr
    storage.delete("pod", "reads")
    found = json.loads(storage.cluster.netsim("storage", "export", "list", "-o", "json").stdout)
    assert {"server": "files.example", "path": path, "size": None, "nodes": []} in found
    storage.cluster.netsim("storage", "export", "remove", f"files.example:{path}")
    assert not directory.exists()
    twice = storage.cluster.netsim("storage", "export", "remove", f"files.example:{path}", check=False)
    assert twice.returncode == 1
    assert f"files.example:{path} is not exported" in twice.stderr


STATEFUL = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "db"},
    "spec": {
        "serviceName": "db",
        "replicas": 2,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": {"app": "db"}},
        "template": {
            "metadata": {"labels": {"app": "db"}},
            "spec": {key: value for key, value in pod("x", "")["spec"].items() if key != "volumes"},
        },
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "v"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Mi"}}},
            }
        ],
    },
}


def test_a_stateful_set_keeps_its_claims(storage: Storage) -> None:
    storage.apply(STATEFUL)
    storage.out("rollout", "status", "statefulset/db", "--timeout=120s")
    for ordinal in (0, 1):
        storage.sh(f"db-{ordinal}", f"echo {ordinal} > /v/own")
    storage.out("scale", "statefulset/db", "--replicas=0")
    storage.eventually(lambda: not storage.out("get", "pods", "-o", "name").strip())
    assert storage.get("pvc", "v-db-1")["metadata"]["labels"] == {"app": "db"}
    storage.out("scale", "statefulset/db", "--replicas=2")
    storage.out("rollout", "status", "statefulset/db", "--timeout=120s")
    for ordinal in (0, 1):
        assert storage.sh(f"db-{ordinal}", "cat /v/own") == f"{ordinal}\n"
    retention = {"whenScaled": "Delete", "whenDeleted": "Delete"}
    body = json.dumps({"spec": {"persistentVolumeClaimRetentionPolicy": retention}})
    storage.out("patch", "statefulset", "db", "--type=merge", "-p", body)
    storage.eventually(lambda: "ownerReferences" in storage.get("pvc", "v-db-0")["metadata"])
    storage.out("scale", "statefulset/db", "--replicas=1")
    storage.eventually(lambda: not storage.find("pvc", "v-db-1"))
    assert storage.find("pvc", "v-db-0")
    storage.delete("statefulset", "db")
    storage.eventually(lambda: not storage.find("pvc", "v-db-0"))


def test_an_ephemeral_claim_goes_with_its_pod(storage: Storage) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": claim("x")["spec"]}
    storage.apply(pod("own", source={"ephemeral": {"volumeClaimTemplate": template}}))
    storage.ready("own")
    made = storage.get("pvc", "own-v")
    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["metadata"]["ownerReferences"][0]["name"] == "own"
    storage.apply(claim("other-v"), pod("other", source={"ephemeral": {"volumeClaimTemplate": template}}))
    storage.until_event("other", "Warning", "FailedBinding", "was not created for pod")
    storage.delete("pod", "own", "other")
    storage.eventually(lambda: not storage.find("pvc", "own-v"))
    storage.eventually(lambda: not storage.find("pv", made["spec"]["volumeName"]))


def test_a_changed_config_map_is_seen_and_parts_of_it_stay(storage: Storage) -> None:
    storage.out("create", "configmap", "settings", "--from-literal=colour=red")
    made = pod("reads", source={"configMap": {"name": "settings"}})
    mounts = made["spec"]["containers"][0]["volumeMounts"]
    mounts.append({"name": "v", "mountPath": "/part", "subPath": "colour"})
    storage.apply(made)
    storage.ready("reads")
    look = "cat /v/colour; echo; cat /part; readlink /v/colour"
    assert storage.sh("reads", look) == "red\nred..data/colour\n"
    first = storage.sh("reads", "readlink /v/..data")
    storage.out("patch", "configmap", "settings", "-p", '{"data":{"colour":"blue","new":"x"}}')
    storage.eventually(lambda: storage.sh("reads", look) == "blue\nred..data/colour\n")
    assert storage.sh("reads", "ls /v") == "colour\nnew\n"
    assert storage.sh("reads", "readlink /v/..data") != first
    storage.delete("pod", "reads")


def test_a_drained_node_lets_go_of_its_volumes(storage: Storage) -> None:
    one = {**STATEFUL, "spec": {**STATEFUL["spec"], "replicas": 1}}
    storage.apply(one)
    storage.out("rollout", "status", "statefulset/db", "--timeout=120s")
    storage.sh("db-0", "echo kept > /v/own")
    node = storage.get("pod", "db-0")["spec"]["nodeName"]
    selector = "--pod-selector=statefulset.kubernetes.io/pod-name=db-0"
    try:
        storage.cluster.out("drain", node, "--ignore-daemonsets", selector, "--timeout=120s")
        storage.eventually(lambda: storage.find("pod", "db-0"))
        storage.ready("db-0")
        assert storage.get("pod", "db-0")["spec"]["nodeName"] != node
        assert storage.sh("db-0", "cat /v/own") == "kept\n"
    finally:
        storage.cluster.out("uncordon", node)
    storage.delete("statefulset", "db")


def test_a_stopped_node_keeps_its_volume_until_it_is_out_of_service(storage: Storage) -> None:
    storage.apply(claim("data"), pod("first", "data", node="node-3"))
    storage.ready("first")
    storage.sh("first", "echo kept > /v/kept; sync /v/kept")
    out_of_service = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
    storage.cluster.netsim("node", "stop", "node-3")
    try:
        storage.out("delete", "pod", "first", "--force", "--grace-period=0")
        storage.apply(pod("second", "data", node="node-1"))
        said = "Volume is already exclusively attached to one node and can't be attached to another"
        storage.until_event("second", "Warning", "FailedAttachVolume", said)
        storage.cluster.out("taint", "node", "node-3", out_of_service)
        storage.ready("second")
        assert storage.sh("second", "cat /v/kept") == "kept\n"
    finally:
        storage.cluster.netsim("node", "start", "node-3")
        storage.cluster.out("taint", "node", "node-3", f"{out_of_service}-")
        storage.cluster.out("wait", "--for=condition=Ready", "node/node-3", "--timeout=120s")
    assert "volumesInUse" not in storage.get("node", "node-3")["status"]
    storage.delete("pod", "second")
    storage.delete("pvc", "data")
