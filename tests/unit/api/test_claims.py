"""What is asked of claims and volumes."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api import claims

POD = {
    "metadata": {"name": "web", "namespace": "default", "uid": "7"},
    "spec": {
        "volumes": [
            {"name": "a", "emptyDir": {}},
            {"name": "b", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "c", "ephemeral": {"volumeClaimTemplate": {}}},
        ]
    },
}


def test_the_claims_of_a_pod() -> None:
    assert list(claims.claims_of(POD)) == ["data", "web-c"]
    assert set(claims.by_claim(POD)) == {"default/data", "default/web-c"}


def test_whose_an_ephemeral_claim_is() -> None:
    owned = {"metadata": {"ownerReferences": [{"uid": "7", "controller": True}]}}
    assert claims.is_made_for(POD, owned)
    assert not claims.is_made_for(POD, {"metadata": {"ownerReferences": [{"uid": "8", "controller": True}]}})
    assert not claims.is_made_for(POD, {"metadata": {}})


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"gcePersistentDisk": {"pdName": "my-disk"}}, "my-disk"),
        ({"csi": {"driver": claims.DISK_DRIVER, "volumeHandle": "projects/p/zones/z/disks/d-1"}}, "d-1"),
        ({"csi": {"driver": "other.io", "volumeHandle": "d-1"}}, None),
        ({"gcePersistentDisk": {"pdName": "../../etc"}}, None),
        ({"csi": {"driver": claims.DISK_DRIVER, "volumeHandle": "projects/.."}}, None),
        ({"csi": {"driver": claims.DISK_DRIVER, "volumeHandle": ""}}, None),
        ({"nfs": {"server": "s", "path": "/"}}, None),
    ],
)
def test_the_disk_behind_a_volume(spec: dict[str, Any], name: str | None) -> None:
    assert claims.disk_of(spec) == name
    assert claims.is_attachable(spec) == (name is not None)


def test_the_class_of_a_claim() -> None:
    assert claims.class_of({"metadata": {}, "spec": {}}) is None
    assert claims.class_of({"metadata": {}, "spec": {"storageClassName": ""}}) == ""
    old = {"metadata": {"annotations": {claims.LEGACY_CLASS: "old"}}, "spec": {"storageClassName": "new"}}
    assert claims.class_of(old) == "old"


def test_sizes() -> None:
    assert claims.requested({"spec": {"resources": {"requests": {"storage": "1Gi"}}}}) == 1 << 30
    assert claims.requested({"spec": {}}) == 0
    assert claims.capacity({"spec": {"capacity": {"storage": "1Mi"}}}) == 1 << 20
    assert claims.capacity({"spec": {}, "status": {"capacity": {"storage": "2Mi"}}}) == 2 << 20
