"""Which volume a claim takes."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.types import Object
from controlplane.api.volume_matching import best, is_free, mismatch, names_claim, reaches

AFFINITY = {
    "required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]}
}


def claim(size: str = "1Gi", modes: tuple[str, ...] = ("ReadWriteOnce",), **spec: Any) -> Object:
    resources = {"requests": {"storage": size}}
    metadata = {"name": "data", "namespace": "default", "uid": "1"}
    return {"metadata": metadata, "spec": {"accessModes": list(modes), "resources": resources, **spec}}


def volume(name: str, size: str = "1Gi", modes: tuple[str, ...] = ("ReadWriteOnce",), **spec: Any) -> Object:
    labels, phase = spec.pop("labels", {}), spec.pop("phase", "Available")
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"capacity": {"storage": size}, "accessModes": list(modes), **spec},
        "status": {"phase": phase},
    }


def chosen(wanted: Object, *volumes: Object, delayed: bool = False) -> str | None:
    found = best(wanted, volumes, delayed=delayed)
    return found["metadata"]["name"] if found is not None else None


def test_the_smallest_that_is_large_enough() -> None:
    volumes = [volume("large", "10Gi"), volume("fits", "2Gi"), volume("small", "500Mi"), volume("middle", "5Gi")]
    assert chosen(claim("1Gi"), *volumes) == "fits"
    assert chosen(claim("2Gi"), *volumes) == "fits"
    assert chosen(claim("11Gi"), *volumes) is None


@pytest.mark.parametrize(
    ("asked", "has", "suits"),
    [
        ({}, {}, True),
        ({"storageClassName": ""}, {}, True),
        ({"storageClassName": "ssd"}, {}, False),
        ({}, {"storageClassName": "ssd"}, False),
        ({"storageClassName": "ssd"}, {"storageClassName": "ssd"}, True),
        ({"storageClassName": "ssd"}, {"storageClassName": "standard"}, False),
        ({"volumeMode": "Block"}, {}, False),
        ({"volumeMode": "Block"}, {"volumeMode": "Block"}, True),
        ({"volumeMode": "Filesystem"}, {}, True),
        ({"modes": ("ReadWriteMany",)}, {}, False),
        ({"modes": ("ReadWriteMany",)}, {"modes": ("ReadWriteOnce", "ReadWriteMany")}, True),
        ({"modes": ("ReadWriteOnce", "ReadWriteMany")}, {"modes": ("ReadWriteMany",)}, False),
        ({"selector": {"matchLabels": {"a": "b"}}}, {}, False),
        ({"selector": {"matchLabels": {"a": "b"}}}, {"labels": {"a": "b", "c": "d"}}, True),
        (
            {"selector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}},
            {"labels": {"a": "x"}},
            True,
        ),
        ({}, {"phase": "Released"}, False),
        ({}, {"phase": "Pending"}, False),
        ({}, {"claimRef": {"namespace": "default", "name": "other"}}, False),
        ({}, {"claimRef": {"namespace": "other", "name": "data"}}, False),
    ],
)
def test_what_suits(asked: dict[str, Any], has: dict[str, Any], suits: bool) -> None:
    assert (chosen(claim(**asked), volume("one", **has)) is not None) == suits


def test_one_that_is_kept_for_the_claim_comes_first() -> None:
    kept = volume("kept", "10Gi", claimRef={"namespace": "default", "name": "data"})
    assert chosen(claim(), volume("small"), kept) == "kept"
    assert chosen(claim("20Gi"), kept) is None
    assert chosen(claim(), volume("small"), kept, delayed=True) == "kept"
    assert chosen(claim(), volume("small"), delayed=True) is None


def test_a_reference_with_a_uid_is_to_that_claim_only() -> None:
    reference = {"namespace": "default", "name": "data"}
    assert names_claim(volume("one", claimRef={**reference, "uid": "1"}), claim())
    assert not names_claim(volume("one", claimRef={**reference, "uid": "2"}), claim())
    assert names_claim(volume("one", claimRef={**reference, "uid": ""}), claim())
    assert not names_claim(volume("one"), claim())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"size": "2Gi"}, "requested PV is too small"),
        ({"storageClassName": "ssd"}, "storageClassName does not match"),
        ({"volumeMode": "Block"}, "incompatible volumeMode"),
        ({"modes": ("ReadWriteMany",)}, "incompatible accessMode"),
        ({}, ""),
    ],
)
def test_why_a_volume_that_is_named_is_not_taken(asked: dict[str, Any], words: str) -> None:
    assert mismatch(volume("one"), claim(**asked)) == words


def test_a_volume_that_is_being_deleted_is_not_free() -> None:
    going = volume("one")
    assert is_free(going)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not is_free(going)


def test_the_nodes_that_a_volume_reaches() -> None:
    assert reaches(volume("one"), "node-1", {})
    bound = volume("one", nodeAffinity=AFFINITY)
    assert reaches(bound, "node-1", {"zone": "a"})
    assert not reaches(bound, "node-1", {"zone": "c"})
