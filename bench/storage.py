"""Storage: how fast pods with volumes come and go, each volume a disk of its own size.

References, measured in the same session: as many disks made, formatted, attached and mounted by the programs that an
administrator has for it, and as many pods without volumes.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import harness
from bench.cluster import IMAGE, NAME, PODS, connect, netsim, timed
from bench.harness import Session
from bench.kube import Kube, is_ready
from controlplane.directories import Directories
from netsim import inventory

REPLICAS = 200
DISKS = 20
SECONDS = 60
SETS = "/apis/apps/v1/namespaces/default/statefulsets"


def run(session: Session) -> None:
    """Every figure of storage."""
    netsim("down")
    try:
        one = _disk_by_hand()
        plain, full, down = [], [], []
        for _ in range(session.runs):
            for volumes, times in ((0, plain), (2, full)):
                netsim("up", "--nodes", "3")
                times.append(_deploy(connect(), volumes))
                took = timed(lambda: netsim("down"))
                if volumes:
                    down.append(took)
                left = inventory.find(NAME)
                if left or Directories(NAME).state.exists():
                    raise RuntimeError(f"left behind: {left}")
        what = f"{REPLICAS} pods with 2 volumes each"
        session.report(
            f"{what}, created to Ready", full, plain, "s", "<= 12", reference_is=f"{REPLICAS} pods without volumes"
        )
        disks = f"making and mounting {2 * REPLICAS} disks by hand"
        session.report(f"{what}, down with nothing left", down, 2 * REPLICAS * one, "s", reference_is=disks)
    finally:
        netsim("down")


def _disk_by_hand() -> float:
    """Seconds that one disk takes by truncate, mkfs.ext4 and mount."""
    with tempfile.TemporaryDirectory() as directory:
        targets = [Path(directory, str(number)) for number in range(DISKS)]
        began = time.monotonic()
        try:
            for target in targets:
                image = target.with_suffix(".img")
                target.mkdir()
                for argv in (
                    ["truncate", "-s", "64M", str(image)],
                    ["mkfs.ext4", "-q", "-F", str(image)],
                    ["mount", "-o", "loop", str(image), str(target)],
                ):
                    subprocess.run(argv, check=True, timeout=SECONDS)
            return (time.monotonic() - began) / DISKS
        finally:
            for target in targets:
                subprocess.run(["umount", str(target)], check=False, stderr=subprocess.DEVNULL)


def _deploy(kube: Kube, volumes: int) -> float:
    began = time.monotonic()
    kube.until(
        PODS,
        lambda pods: sum(map(is_ready, pods.values())) >= REPLICAS,
        lambda: kube.post(SETS, _stateful_set(volumes)),
    )
    return time.monotonic() - began


def _stateful_set(volumes: int) -> dict[str, Any]:
    labels = {"app": "bench"}
    names = [f"v{number}" for number in range(volumes)]
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in names]
    container = {"name": "web", "image": IMAGE, "volumeMounts": mounts}
    claims = [
        {
            "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}},
        }
        for name in names
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "bench"},
        "spec": {
            "replicas": REPLICAS,
            "podManagementPolicy": "Parallel",
            "serviceName": "bench",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
            "volumeClaimTemplates": claims,
        },
    }


if __name__ == "__main__":
    harness.main(run)
