"""Claims, volumes and classes by the real kubectl: bound, provisioned, grown, kept and deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster
from tests.e2e.storage_kit import Storage, claim, pod, volume


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
