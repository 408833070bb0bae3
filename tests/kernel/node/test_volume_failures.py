"""Volumes that cannot be mounted: what the pod and its events say."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from controlplane.api.kinds import CONFIG_MAP, SECRET
from controlplane.api.types import Object
from controlplane.node import mounting
from controlplane.node.volumes import hostpath, outside
from tests.kernel.node.conftest import NODE, WAIT_SECONDS, Node
from tests.kernel.node.volume_kit import claim, disk, on_host, shell, volume


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"local": {"path": "/nowhere"}, "nodeAffinity": on_host(NODE)},
            'MountVolume.SetUp failed for volume "pv-data" : path "/nowhere" does not exist',
        ),
        (
            {"csi": {"driver": "other.io", "volumeHandle": "x"}},
            'MountVolume.SetUp failed for volume "pv-data" : kubernetes.io/csi: mounter.SetUpAt failed to get CSI '
            "client: driver name other.io not found in the list of registered CSI drivers",
        ),
        (
            {"hostPath": {"path": "/tmp"}, "nodeAffinity": on_host("b")},
            'MountVolume.NodeAffinity check failed for volume "pv-data" : no matching NodeSelectorTerms',
        ),
    ],
)
async def test_what_cannot_be_mounted_is_said(node: Node, spec: Object, message: str) -> None:
    await claim(node, "data", spec, attached=False)
    await node.create("fails", shell(), volumes=volume("data"))
    await node.until_event("fails", "FailedMount", message)
    await node.delete("fails")


async def test_a_claim_that_is_not_there_or_not_bound_is_said(node: Node) -> None:
    await node.create("none", shell(), volumes=volume("absent"))
    said = 'error processing PVC default/absent: persistentvolumeclaim "absent" not found'
    await node.until_event("none", "FailedMount", said)
    await node.delete("none")


async def test_each_volume_that_fails_is_said_and_in_the_end_that_it_took_too_long(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounting, "MOUNT_SECONDS", 0.1)
    await claim(node, "data", disk("data"), attached=False)
    volumes = [
        *volume("data"),
        {"name": "a", "configMap": {"name": "absent"}},
        {"name": "b", "persistentVolumeClaim": {"claimName": "absent"}},
        {"name": "c", "hostPath": {"path": "/nowhere", "type": "Directory"}},
        {"name": "d", "emptyDir": {}},
    ]
    await node.create("fails", shell(), volumes=volumes)
    setup = "MountVolume.SetUp failed for volume"
    for said in (
        f'{setup} "a" : configmap "absent" not found',
        'error processing PVC default/absent: persistentvolumeclaim "absent" not found',
        f'{setup} "c" : hostPath type check failed: /nowhere is not a directory',
        "Unable to attach or mount volumes: unmounted volumes=[a b c v], unattached volumes=[v], "
        "failed to process volumes=[b]: context deadline exceeded",
    ):
        await node.until_event("fails", "FailedMount", said)
    await node.delete("fails")


async def test_a_key_that_is_not_there_is_said(node: Node) -> None:
    for kind, body in ((CONFIG_MAP, {"data": {"a": "1"}}), (SECRET, {"stringData": {"a": "1"}})):
        await node.client.create(kind, {"metadata": {"name": "has"}, **body}, "default")
    wrong = [{"key": "b", "path": "b"}]
    volumes = [
        {"name": "v", "configMap": {"name": "has", "items": wrong}},
        {"name": "w", "secret": {"secretName": "has", "items": wrong}},
    ]
    await node.create("fails", shell(), volumes=volumes)
    for name, what in (("v", "config"), ("w", "secret")):
        said = f'MountVolume.SetUp failed for volume "{name}" : references non-existent {what} key: b'
        await node.until_event("fails", "FailedMount", said)
    await node.delete("fails")


async def test_a_path_that_hangs_holds_up_nobody_else(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "LIMIT_SECONDS", 1.0)
    look, answers = hostpath._check, threading.Event()

    def hang(path: Path, kind: str) -> None:
        answers.wait(WAIT_SECONDS)
        look(path, kind)

    monkeypatch.setattr(hostpath, "_check", hang)
    hung = [{"name": "v", "hostPath": {"path": "/var/tmp", "type": "Directory"}}]
    try:
        for name in ("stuck", "removed"):
            await node.create(name, shell(), volumes=hung)
        await node.create("other", shell(), volumes=[{"name": "v", "emptyDir": {"medium": "Memory"}}])
        await node.until_ready("other")
        message = 'MountVolume.SetUp failed for volume "v" : /var/tmp does not answer: timed out after 1 s'
        for name in ("stuck", "removed"):
            await node.until_event(name, "FailedMount", message)
        await node.delete("removed")
    finally:
        answers.set()
    await node.until_ready("stuck")
