"""Volumes, claims, classes and drivers: defaults, and what is wrong with them in upstream's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.kinds import (
    CSI_DRIVER,
    CSI_NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    STORAGE_CLASS,
    VOLUME_ATTACHMENT,
    VOLUME_ATTRIBUTES_CLASS,
)
from controlplane.api.types import Kind, Object

Body = dict[str, Any]
Create = Callable[[Kind, Body], Object]
Update = Callable[[Kind, Body, Object], Object]
Errors = Callable[[Kind, Body], list[str]]


def claim(**spec: Any) -> Body:
    return {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec},
    }


def volume(**spec: Any) -> Body:
    start = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}}
    return {"metadata": {"name": "data"}, "spec": start | spec}


def test_a_claim_is_a_pending_filesystem(create: Create) -> None:
    made = create(PERSISTENT_VOLUME_CLAIM, claim(dataSource={"kind": "PersistentVolumeClaim", "name": "old"}))
    assert made["spec"]["volumeMode"] == "Filesystem"
    assert made["spec"]["dataSourceRef"] == {"kind": "PersistentVolumeClaim", "name": "old"}
    assert made["status"] == {"phase": "Pending"}


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        ({"accessModes": []}, ["spec.accessModes: Required value: at least 1 access mode is required"]),
        (
            {"accessModes": ["RWO"]},
            [
                'spec.accessModes: Unsupported value: "RWO": supported values: "ReadOnlyMany", "ReadWriteMany", '
                '"ReadWriteOnce", "ReadWriteOncePod"'
            ],
        ),
        (
            {"accessModes": ["ReadWriteOncePod", "ReadWriteOnce"]},
            ["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"],
        ),
        ({"resources": {}}, ["spec.resources[storage]: Required value"]),
        (
            {"resources": {"requests": {"storage": "0"}}},
            ['spec.resources[storage]: Invalid value: "0": must be greater than zero'],
        ),
        ({"volumeMode": "Raw"}, ['spec.volumeMode: Unsupported value: "Raw": supported values: "Block", "Filesystem"']),
        (
            {
                "dataSource": {"kind": "Volume", "name": "x"},
                "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "x"},
            },
            [
                "spec.dataSource: Invalid value: \"Volume\": must be 'PersistentVolumeClaim' when referencing the "
                "default apiGroup"
            ],
        ),
    ],
)
def test_claims(errors: Errors, spec: Body, wrong: list[str]) -> None:
    assert errors(PERSISTENT_VOLUME_CLAIM, claim(**spec)) == wrong


def test_a_claim_grows_when_it_is_bound(create: Create, update: Update) -> None:
    old = create(PERSISTENT_VOLUME_CLAIM, claim())
    larger = claim(resources={"requests": {"storage": "2Gi"}})
    larger["metadata"] = dict(old["metadata"])
    with pytest.raises(Invalid, match=r"spec is immutable after creation except resources\.requests and volume"):
        update(PERSISTENT_VOLUME_CLAIM, larger, old)
    bound = old | {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
    grown = update(PERSISTENT_VOLUME_CLAIM, larger, bound)
    assert grown["spec"]["resources"]["requests"]["storage"] == "2Gi"
    smaller = claim(resources={"requests": {"storage": "512Mi"}})
    smaller["metadata"] = dict(old["metadata"])
    with pytest.raises(Invalid, match=r"requests\.storage: Forbidden: field can not be less than status\.capacity"):
        update(PERSISTENT_VOLUME_CLAIM, smaller, bound)


def test_a_volume_is_retained(create: Create) -> None:
    made = create(PERSISTENT_VOLUME, volume())
    assert made["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert made["spec"]["hostPath"] == {"path": "/data", "type": ""}
    assert made["status"].keys() == {"phase", "lastPhaseTransitionTime"}


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        ({"accessModes": []}, ["spec.accessModes: Required value"]),
        ({"capacity": {}}, ["spec.capacity: Required value"]),
        ({"capacity": {"cpu": "1"}}, ['spec.capacity: Unsupported value: {"cpu":"1"}: supported values: "storage"']),
        ({"nfs": {"server": "a", "path": "/b"}}, ["spec.nfs: Forbidden: may not specify more than 1 volume type"]),
        ({"hostPath": {"path": "/a/../b"}}, ["spec.hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"]),
        (
            {"hostPath": {"path": "/"}, "persistentVolumeReclaimPolicy": "Recycle"},
            [
                "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
            ],
        ),
        (
            {"persistentVolumeReclaimPolicy": "Burn"},
            [
                'spec.persistentVolumeReclaimPolicy: Unsupported value: "Burn": supported values: "Delete", '
                '"Recycle", "Retain"'
            ],
        ),
    ],
)
def test_volumes(errors: Errors, spec: Body, wrong: list[str]) -> None:
    assert errors(PERSISTENT_VOLUME, volume(**spec)) == wrong


def test_a_volume_without_a_source_or_with_a_local_one(errors: Errors) -> None:
    bare = volume()
    del bare["spec"]["hostPath"]
    assert errors(PERSISTENT_VOLUME, bare) == ["spec: Required value: must specify a volume type"]
    bare["spec"]["local"] = {"path": "/disk"}
    assert errors(PERSISTENT_VOLUME, bare) == ["spec.nodeAffinity: Required value: Local volume requires node affinity"]


def test_the_source_of_a_volume_stays(create: Create, update: Update) -> None:
    old = create(PERSISTENT_VOLUME, volume())
    moved = volume(hostPath={"path": "/other"}) | {"metadata": dict(old["metadata"])}
    with pytest.raises(Invalid, match="persistentvolumesource is immutable after creation"):
        update(PERSISTENT_VOLUME, moved, old)


def test_classes(create: Create, update: Update, errors: Errors) -> None:
    body = {"metadata": {"name": "fast"}, "provisioner": "example.com/disk"}
    made = create(STORAGE_CLASS, body)
    assert (made["reclaimPolicy"], made["volumeBindingMode"]) == ("Delete", "Immediate")
    assert errors(STORAGE_CLASS, body | {"provisioner": ""}) == ["provisioner: Required value"]
    assert errors(STORAGE_CLASS, body | {"volumeBindingMode": "Later"}) == [
        'volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"'
    ]
    with pytest.raises(Invalid, match="parameters: Forbidden: updates to parameters are forbidden"):
        update(STORAGE_CLASS, made | {"parameters": {"type": "ssd"}}, made)
    with pytest.raises(Invalid, match=r"volumeBindingMode: Invalid value: .*: field is immutable"):
        update(STORAGE_CLASS, made | {"volumeBindingMode": "WaitForFirstConsumer"}, made)


def test_drivers(create: Create, errors: Errors) -> None:
    made = create(CSI_DRIVER, {"metadata": {"name": "disk.example.com"}, "spec": {}})
    assert made["spec"]["attachRequired"] is True
    assert made["spec"]["volumeLifecycleModes"] == ["Persistent"]
    node = {"metadata": {"name": "node-1"}, "spec": {"drivers": [{"name": "a"}, {"name": "a", "nodeID": "x"}]}}
    assert errors(CSI_NODE, node) == [
        "spec.drivers[0].nodeID: Required value",
        'spec.drivers[1].name: Duplicate value: "a"',
    ]
    attachment = {"metadata": {"name": "a"}, "spec": {"attacher": "x", "nodeName": "n", "source": {}}}
    assert errors(VOLUME_ATTACHMENT, attachment) == [
        "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    ]
    assert errors(VOLUME_ATTRIBUTES_CLASS, {"metadata": {"name": "a"}, "driverName": "x"}) == [
        "parameters: Required value: must contain at least one key/value pair"
    ]
