"""Claims, volumes and classes by the real kubectl: bound, provisioned, enforced, attached, grown, kept and deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster


def claim(name: str, size: str = "16Mi", *, modes: str = "ReadWriteOnce", **spec: Any) -> dict[str, Any]:
    resources = {"requests": {"storage": size}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": [modes], "resources": resources, **spec},
    }


def volume(
    name: str, size: str, source: dict[str, Any], *, modes: str = "ReadWriteOnce", **more: Any
) -> dict[str, Any]:
    labels = more.pop("labels", {})
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": labels},
        "spec": {"capacity": {"storage": size}, "accessModes": [modes], **source, **more},
    }


def pod(name: str, claimed: str = "", *, node: str = "", script: str = "sleep inf", **more: Any) -> dict[str, Any]:
    source = more.pop("source", {"persistentVolumeClaim": {"claimName": claimed}})
    container = {
        "name": "c",
        "image": "busybox",
        "command": ["sh", "-c", f"trap 'exit 0' TERM; {script} & wait"],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }
    where = {"nodeSelector": {"kubernetes.io/hostname": node}} if node else {}
    spec = {"containers": [container], "volumes": [{"name": "v", **source}], "terminationGracePeriodSeconds": 2}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {**spec, **where, **more}}


class Storage:
    """One namespace of the shared cluster."""

    def __init__(self, cluster: Cluster, namespace: str, eventually: Eventually) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.eventually = eventually

    def out(self, *words: str, stdin: str | None = None) -> str:
        return self.cluster.out("-n", self.namespace, *words, stdin=stdin)

    def apply(self, *objects: dict[str, Any]) -> None:
        self.out("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def get(self, kind: str, name: str) -> Any:
        return json.loads(self.out("get", kind, name, "-o", "json"))

    def find(self, kind: str, name: str) -> str:
        return self.out("get", kind, name, "--ignore-not-found", "-o", "name").strip()

    def phase(self, kind: str, name: str, wanted: str) -> None:
        self.out("wait", f"--for=jsonpath={{.status.phase}}={wanted}", f"{kind}/{name}", "--timeout=60s")

    def ready(self, *names: str) -> None:
        self.out("wait", "--for=condition=Ready", *(f"pod/{name}" for name in names), "--timeout=30s")

    def sh(self, name: str, script: str) -> str:
        return self.out("exec", name, "--", "sh", "-c", f"exec 2>&1; {script}; true")

    def delete(self, *words: str) -> None:
        self.out("delete", *words, "--timeout=30s")

    def events(self, name: str) -> list[tuple[str, str, str]]:
        found = json.loads(self.out("get", "events", "-o", "json", f"--field-selector=involvedObject.name={name}"))
        return [(one["type"], one["reason"], one["message"]) for one in found["items"]]

    def until_event(self, name: str, kind: str, reason: str, words: str) -> None:
        def said() -> bool:
            return any((k, r) == (kind, reason) and words in message for k, r, message in self.events(name))

        self.eventually(said)


@pytest.fixture
def storage(cluster: Cluster, namespace: str, eventually: Eventually) -> Storage:
    return Storage(cluster, namespace, eventually)


def test_the_classes_that_come_with_a_cluster(cluster: Cluster) -> None:
    found = {one["metadata"]["name"]: one for one in cluster.json("get", "storageclasses")["items"]}
    assert {"nfs", "ssd", "standard"} <= set(found)
    assert found["ssd"]["parameters"] == {"type": "pd-ssd"}
    assert "standard (default)" in cluster.out("get", "storageclass", "standard")
    assert cluster.json("get", "csidriver", "pd.csi.storage.gke.io")["spec"]["attachRequired"] is True
    [driver] = cluster.json("get", "csinode", "node-1")["spec"]["drivers"]
    assert driver["name"] == "pd.csi.storage.gke.io"


def test_a_claim_is_provisioned_limited_kept_and_deleted(storage: Storage) -> None:
    storage.apply(claim("data"), pod("one", "data"))
    storage.ready("one")
    assert storage.get("pvc", "data")["spec"]["storageClassName"] == "standard"
    said = storage.sh("one", "echo kept > /v/kept; head -c 20000000 /dev/zero > /v/big; df -k /v | tail -1")
    assert "No space left on device" in said
    assert 12_000 < int(said.split()[-5]) < 16_384
    name = storage.get("pvc", "data")["spec"]["volumeName"]
    assert storage.get("pv", name)["spec"]["csi"]["driver"] == "pd.csi.storage.gke.io"
    storage.delete("pod", "one")
    storage.apply(pod("two", "data"))
    storage.ready("two")
    assert storage.sh("two", "cat /v/kept") == "kept\n"
    disk = Path(f"/var/lib/netsim/clusters/{storage.cluster.name}/volumes/{name}")
    assert disk.is_dir()
    storage.until_event("data", "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}")
    storage.delete("pod", "two")
    storage.delete("pvc", "data")
    storage.eventually(lambda: not storage.find("pv", name) and not disk.exists())


def test_binding_takes_the_smallest_that_suits(storage: Storage, tmp_path: Path) -> None:
    source = {"hostPath": {"path": str(tmp_path)}}
    prefix = storage.namespace
    names = {key: f"{prefix}-{key}" for key in ("small", "fit", "large", "ssd", "shared", "block", "blue", "kept")}
    own = {"storageClassName": prefix}
    reference: dict[str, Any] = {"claimRef": {"namespace": prefix, "name": "kept"}}
    storage.apply(
        volume(names["small"], "5Mi", source, **own),
        volume(names["large"], "50Mi", source, **own),
        volume(names["fit"], "20Mi", source, **own),
        volume(names["ssd"], "10Mi", source, storageClassName=f"{prefix}-ssd"),
        volume(names["shared"], "100Mi", source, modes="ReadWriteMany", **own),
        volume(names["block"], "100Mi", source, volumeMode="Block", **own),
        volume(names["blue"], "200Mi", source, labels={"colour": "blue"}, **own),
        volume(names["kept"], "10Mi", source, **own, **reference),
    )
    for name in names.values():
        storage.phase("pv", name, "Available")
    storage.apply(
        claim("fit", "10Mi", **own),
        claim("ssd", "1Mi", storageClassName=f"{prefix}-ssd"),
        claim("shared", "1Mi", modes="ReadWriteMany", **own),
        claim("block", "1Mi", volumeMode="Block", **own),
        claim("blue", "1Mi", selector={"matchLabels": {"colour": "blue"}}, **own),
        claim("named", "1Mi", volumeName=names["large"], **own),
        claim("kept", "1Mi", **own),
    )
    wanted = {"fit": "fit", "ssd": "ssd", "shared": "shared", "block": "block", "blue": "blue", "named": "large"}
    for name, bound in {**wanted, "kept": "kept"}.items():
        storage.phase("pvc", name, "Bound")
        assert storage.get("pvc", name)["spec"]["volumeName"] == names[bound], name
    storage.apply(claim("more", "1Mi", storageClassName=f"{prefix}-ssd"))
    storage.until_event(
        "more", "Warning", "ProvisioningFailed", f'storageclass.storage.k8s.io "{prefix}-ssd" not found'
    )
    storage.delete("pvc", "--all")
    storage.phase("pv", names["fit"], "Released")
    storage.delete("pv", *names.values())


def test_a_claim_without_a_class_or_with_a_wrong_volume_says_so(storage: Storage, tmp_path: Path) -> None:
    storage.apply(claim("none", storageClassName=""))
    message = "no persistent volumes available for this claim and no storage class is set"
    storage.until_event("none", "Normal", "FailedBinding", message)
    storage.apply(pod("waits", "none"))
    storage.until_event("waits", "Warning", "FailedScheduling", "pod has unbound immediate PersistentVolumeClaims")
    name = f"{storage.namespace}-small"
    storage.apply(volume(name, "1Mi", {"hostPath": {"path": str(tmp_path)}}))
    storage.apply(claim("wrong", "5Mi", storageClassName="", volumeName=name))
    said = f'Cannot bind to requested volume "{name}": requested PV is too small'
    storage.until_event("wrong", "Warning", "VolumeMismatch", said)
    storage.apply(volume(f"{name}-ok", "20Mi", {"hostPath": {"path": str(tmp_path)}}))
    storage.phase("pvc", "none", "Bound")
    storage.ready("waits")
    storage.delete("pod", "waits")
    storage.delete("pvc", "none", "wrong")
    storage.delete("pv", name, f"{name}-ok")


def test_a_bound_claim_that_loses_its_volume_is_lost(storage: Storage, tmp_path: Path) -> None:
    name = f"{storage.namespace}-lost"
    storage.apply(volume(name, "20Mi", {"hostPath": {"path": str(tmp_path)}}), claim("lost", storageClassName=""))
    storage.phase("pvc", "lost", "Bound")
    storage.out("delete", "pv", name, "--wait=false")
    assert storage.find("pv", name), "protected while bound"
    storage.out("patch", "pv", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    storage.phase("pvc", "lost", "Lost")
    storage.until_event("lost", "Warning", "ClaimLost", "Bound claim has lost its PersistentVolume.")
    storage.delete("pvc", "lost")


def test_waiting_for_the_first_consumer(storage: Storage, tmp_path: Path) -> None:
    name = storage.namespace
    host = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-3"]}
    affinity: dict[str, Any] = {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}}}
    storage.apply(
        storage_class(name, "kubernetes.io/no-provisioner"),
        storage_class(f"{name}-made", "pd.csi.storage.gke.io"),
        volume(name, "20Mi", {"local": {"path": str(tmp_path)}}, storageClassName=name, **affinity),
        claim("local", storageClassName=name),
        claim("made", storageClassName=f"{name}-made"),
    )
    waiting = "waiting for first consumer to be created before binding"
    for each in ("local", "made"):
        storage.until_event(each, "Normal", "WaitForFirstConsumer", waiting)
    storage.apply(pod("elsewhere", "local", node="node-1"))
    storage.until_event(
        "elsewhere", "Warning", "FailedScheduling", "1 node(s) didn't find available persistent volumes to bind"
    )
    storage.until_event("local", "Normal", "WaitForPodScheduled", "waiting for pod elsewhere to be scheduled")
    storage.delete("pod", "elsewhere")
    storage.apply(pod("here", "local"), pod("there", "made", node="node-2"))
    storage.ready("here", "there")
    assert storage.get("pod", "here")["spec"]["nodeName"] == "node-3"
    annotations = storage.get("pvc", "made")["metadata"]["annotations"]
    assert annotations["volume.kubernetes.io/selected-node"] == "node-2"
    storage.sh("here", "echo local > /v/file")
    assert (tmp_path / "file").read_text() == "local\n"
    storage.delete("pod", "here")
    storage.apply(pod("back", "local", node="node-1"))
    storage.until_event("back", "Warning", "FailedScheduling", "1 node(s) had volume node affinity conflict")
    storage.delete("pod", "--all")
    storage.delete("pvc", "--all")
    storage.delete("pv", name)
    storage.delete("storageclass", name, f"{name}-made")


def storage_class(name: str, provisioner: str, **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer",
        **fields,
    }


def test_a_class_makes_volumes_where_it_may_and_says_where_it_cannot(storage: Storage) -> None:
    name = storage.namespace
    term = {"key": "topology.kubernetes.io/zone", "values": ["elsewhere-1"]}
    topologies = [{"matchLabelExpressions": [term]}]
    storage.apply(
        storage_class(
            f"{name}-far", "pd.csi.storage.gke.io", allowedTopologies=topologies, volumeBindingMode="Immediate"
        ),
        storage_class(
            f"{name}-odd", "pd.csi.storage.gke.io", parameters={"colour": "red"}, volumeBindingMode="Immediate"
        ),
        storage_class(f"{name}-other", "example.com/made-elsewhere", volumeBindingMode="Immediate"),
        claim("far", storageClassName=f"{name}-far"),
        claim("odd", storageClassName=f"{name}-odd"),
        claim("other", storageClassName=f"{name}-other"),
        claim("many", modes="ReadWriteMany", storageClassName="standard"),
    )
    storage.until_event("far", "Warning", "ProvisioningFailed", "no available topology found")
    storage.until_event("odd", "Warning", "ProvisioningFailed", 'parameters contains invalid option "colour"')
    storage.until_event("many", "Warning", "ProvisioningFailed", "specified multi writer with mount access type")
    storage.until_event(
        "other",
        "Normal",
        "ExternalProvisioning",
        "created either by the external provisioner 'example.com/made-elsewhere'",
    )
    marks = storage.get("pvc", "other")["metadata"]["annotations"]
    assert marks["volume.kubernetes.io/storage-provisioner"] == "example.com/made-elsewhere"
    storage.delete("pvc", "--all")
    storage.delete("storageclass", *(f"{name}-{each}" for each in ("far", "odd", "other")))


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
    storage.out("rollout", "status", "statefulset/db", "--timeout=30s")
    for ordinal in (0, 1):
        storage.sh(f"db-{ordinal}", f"echo {ordinal} > /v/own")
    storage.out("scale", "statefulset/db", "--replicas=0")
    storage.eventually(lambda: not storage.out("get", "pods", "-o", "name").strip())
    assert storage.get("pvc", "v-db-1")["metadata"]["labels"] == {"app": "db"}
    storage.out("scale", "statefulset/db", "--replicas=2")
    storage.out("rollout", "status", "statefulset/db", "--timeout=30s")
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


@pytest.mark.parametrize("storage_class", ["standard", "nfs"])
def test_a_claim_grows(storage: Storage, storage_class: str) -> None:
    storage.apply(claim("grows", storageClassName=storage_class), pod("one", "grows"))
    storage.ready("one")
    storage.sh("one", "echo kept > /v/kept")
    body = json.dumps({"spec": {"resources": {"requests": {"storage": "64Mi"}}}})
    storage.out("patch", "pvc", "grows", "--type=merge", "-p", body)
    name = storage.get("pvc", "grows")["spec"]["volumeName"]
    storage.eventually(lambda: storage.get("pv", name)["spec"]["capacity"]["storage"] == "64Mi")
    storage.until_event("grows", "Normal", "FileSystemResizeRequired", "Require file system resize of volume on node")
    storage.delete("pod", "one")
    storage.apply(pod("two", "grows"))
    storage.ready("two")
    said = storage.sh("two", "cat /v/kept; df -k /v | tail -1").split()
    assert said[0] == "kept"
    assert int(said[2]) > 40_000
    storage.eventually(lambda: storage.get("pvc", "grows")["status"]["capacity"]["storage"] == "64Mi")
    assert "conditions" not in storage.get("pvc", "grows")["status"]
    shrunk = json.dumps({"spec": {"resources": {"requests": {"storage": "8Mi"}}}})
    refused = storage.cluster.kubectl(
        "-n", storage.namespace, "patch", "pvc", "grows", "--type=merge", "-p", shrunk, check=False
    )
    assert "field can not be less than" in refused.stderr
    storage.delete("pod", "two")
    storage.delete("pvc", "grows")


def test_what_is_used_stays_until_it_is_not(storage: Storage) -> None:
    storage.apply(claim("used"), pod("user", "used"))
    storage.ready("user")
    storage.out("delete", "pvc", "used", "--wait=false")
    assert "deletionTimestamp" in storage.get("pvc", "used")["metadata"]
    assert "Terminating" in storage.out("get", "pvc", "used")
    storage.apply(pod("late", "used"))
    storage.until_event("late", "Warning", "FailedScheduling", 'persistentvolumeclaim "used" is being deleted')
    storage.sh("user", "echo still > /v/here")
    storage.delete("pod", "user", "late")
    storage.eventually(lambda: not storage.find("pvc", "used"))


def test_a_retained_volume_is_there_for_another_claim(storage: Storage) -> None:
    name = storage.namespace
    storage.apply(storage_class(name, "kubernetes.io/gce-pd", reclaimPolicy="Retain", volumeBindingMode="Immediate"))
    storage.apply(claim("first", storageClassName=name), pod("one", "first"))
    storage.ready("one")
    storage.sh("one", "echo kept > /v/kept")
    kept = storage.get("pvc", "first")["spec"]["volumeName"]
    storage.delete("pod", "one")
    storage.delete("pvc", "first")
    storage.phase("pv", kept, "Released")
    storage.out("patch", "pv", kept, "--type=merge", "-p", '{"spec":{"claimRef":null}}')
    storage.phase("pv", kept, "Available")
    storage.apply(claim("second", storageClassName=name, volumeName=kept), pod("two", "second"))
    storage.ready("two")
    assert storage.sh("two", "cat /v/kept") == "kept\n"
    storage.delete("pod", "two")
    storage.delete("pvc", "second")
    storage.out("patch", "pv", kept, "--type=merge", "-p", '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}')
    storage.eventually(lambda: not storage.find("pv", kept))
    storage.delete("storageclass", name)


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
    storage.out("rollout", "status", "statefulset/db", "--timeout=30s")
    storage.sh("db-0", "echo kept > /v/own")
    node = storage.get("pod", "db-0")["spec"]["nodeName"]
    selector = "--pod-selector=statefulset.kubernetes.io/pod-name=db-0"
    try:
        storage.cluster.out("drain", node, "--ignore-daemonsets", selector, "--timeout=30s")
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
        storage.cluster.out("wait", "--for=condition=Ready", "node/node-3", "--timeout=30s")
    assert "volumesInUse" not in storage.get("node", "node-3")["status"]
    storage.delete("pod", "second")
    storage.delete("pvc", "data")
