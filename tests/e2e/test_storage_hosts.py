"""Storage and the host: two clusters beside each other, one on plain directories; a reboot; nothing left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.directories import Directories
from netsim import loop
from tests.conftest import Eventually
from tests.e2e.conftest import Cluster, cluster_name
from tests.e2e.storage_kit import Storage, claim, pod

PLAIN = """\
apiVersion: netsim.io/v1alpha1
kind: Cluster
spec:
  nodes: 2
  storage:
    volumes: directory
"""


@pytest.fixture
def sized() -> Iterator[Cluster]:
    made = Cluster(cluster_name("sized"))
    made.netsim("up", "--nodes", "2")
    yield made
    made.netsim("down")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(cluster_name("plain"))
    config = tmp_path_factory.mktemp("plain") / "cluster.yaml"
    config.write_text(PLAIN)
    made.netsim("up", "--config", str(config))
    yield made
    made.netsim("down")


def below(cluster: Cluster) -> list[str]:
    """The loop devices and mounts of the host that are a cluster's."""
    places = Directories(cluster.name)
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    mine = [each for each in mounts if each.startswith((f"{places.state}/", f"{places.run}/"))]
    return [*loop.below((places.state, places.run)), *mine]


def switched_off(cluster: Cluster) -> None:
    """Leaves of a cluster what a reboot would: what is in its directory, and nothing in the kernel."""
    places = Directories(cluster.name)
    os.kill(int((places.run / "daemon.pid").read_text()), signal.SIGKILL)
    kept = places.state.with_name(f"{cluster.name}.kept")
    # Not shutil: disks are sparse.
    subprocess.run(["cp", "-a", "--sparse=always", str(places.state), str(kept)], check=True, timeout=30)
    cluster.netsim("down")
    assert below(cluster) == []
    shutil.move(kept, places.state)


def test_a_reboot_keeps_data_and_the_cluster_beside_is_left_alone(
    sized: Cluster, plain: Cluster, eventually: Eventually
) -> None:
    for cluster in (sized, plain):
        storage = Storage(cluster, "default", eventually)
        storage.apply(claim("data"), claim("shared", modes="ReadWriteMany", storageClassName="nfs"))
        storage.apply(pod("one", "data", node="node-1"), pod("two", "shared", node="node-2"))
        storage.ready("one", "two")
        for name in ("one", "two"):
            storage.sh(name, f"echo {name} of {cluster.name} > /v/kept; sync /v/kept")
    beside = Storage(plain, "default", eventually)
    began = beside.get("pod", "one")["status"]["containerStatuses"][0]["containerID"]
    switched_off(sized)
    sized.netsim("up")
    storage = Storage(sized, "default", eventually)

    def again() -> bool:
        found = json.loads(storage.out("get", "pods", "-o", "json"))["items"]
        started = [one["status"]["containerStatuses"][0] for one in found]
        return [(one["restartCount"], one["ready"]) for one in started] == [(1, True), (1, True)]

    eventually(again)
    for name in ("one", "two"):
        assert storage.sh(name, "cat /v/kept") == f"{name} of {sized.name}\n"
        assert beside.sh(name, "cat /v/kept") == f"{name} of {plain.name}\n"
    assert beside.get("pod", "one")["status"]["containerStatuses"][0]["containerID"] == began


def test_plain_directories(plain: Cluster, eventually: Eventually) -> None:
    storage = Storage(plain, "default", eventually)
    storage.apply(claim("small", "1Mi"), claim("raw", volumeMode="Block"), pod("fills", "small"))
    storage.ready("fills")
    # Of any size, and a directory of the host.
    storage.sh("fills", "head -c 3000000 /dev/zero > /v/big")
    name = storage.get("pvc", "small")["spec"]["volumeName"]
    disk = Directories(plain.name).state / "volumes" / name
    assert (disk / "data" / "big").stat().st_size == 3_000_000
    assert loop.below((Directories(plain.name).state,)) == {}
    block = pod("block", "raw")
    container = block["spec"]["containers"][0]
    del container["volumeMounts"]
    container["volumeDevices"] = [{"name": "v", "devicePath": "/dev/xvda"}]
    storage.apply(block)
    storage.until_event("block", "Warning", "FailedMount", "disks are plain directories in this cluster")
    storage.delete("pod", "fills", "block")
    storage.delete("pvc", "small", "raw")
    storage.eventually(lambda: not disk.exists())
