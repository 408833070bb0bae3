"""A thousand pods on ten nodes of one host: how fast they come and go, what they weigh, and that nothing of them stays.

Reference, measured in the same session: as many bare `crun` containers, by ten times a hundred.
"""

from __future__ import annotations

import time
from pathlib import Path

from bench import bare, floor, harness
from bench.cluster import DEPLOYMENTS, NAME, PODS, connect, daemon_pid, deploy, netsim
from bench.harness import Session
from bench.kube import Kube
from netsim import inventory

NODES = 10
REPLICAS = 1000
MIB, GIB = 1024, 1024 * 1024
REFERENCE = 100
TRACE_SECONDS = 10.0


def run(session: Session) -> None:
    """Every figure of a thousand pods; once, for it takes a minute."""
    netsim("down")
    try:
        netsim("up", "--nodes", str(NODES))
        containers = bare.measure(REFERENCE)
        times = REPLICAS / REFERENCE
        kube = connect()
        # What a cluster makes once, with its first pod, is there before.
        deploy(kube, 1)
        _delete(kube)
        before = traces()
        took = deploy(kube, REPLICAS)
        reference = f"{times:.0f} times crun run of {REFERENCE}"
        session.report(
            f"Deployment of {REPLICAS} on {NODES} nodes, created to all Ready",
            took,
            containers.all * times,
            "s",
            "<= 25",
            reference_is=reference,
        )
        _weigh(session, containers)
        gone = _delete(kube)
        session.report(
            f"delete it, to all {REPLICAS} gone",
            gone,
            containers.delete * times,
            "s",
            "<= 15",
            reference_is=f"{times:.0f} times crun delete of {REFERENCE}",
        )
        _look_for_traces(session, before)
    finally:
        netsim("down")


def _weigh(session: Session, containers: bare.Bare) -> None:
    pods = sum(bare.memory(pid)[1] for pid in processes_of_pods())
    daemon = floor.resident(daemon_pid())
    session.report("daemon memory, 1000 pods", daemon / MIB, None, "MiB")
    reference = containers.pss * REPLICAS / GIB
    total = (pods + daemon) / GIB
    session.report("pods and daemon together", total, reference, "GiB", "<= 3", reference_is="as many busybox sleep")


def _delete(kube: Kube) -> float:
    began = time.monotonic()
    kube.until(
        PODS,
        lambda pods: not pods,
        lambda: kube.delete(f"{DEPLOYMENTS}/bench?propagationPolicy=Background"),
    )
    return time.monotonic() - began


def _look_for_traces(session: Session, before: dict[str, int]) -> None:
    deadline = time.monotonic() + TRACE_SECONDS
    while True:
        left = {what: number - before[what] for what, number in traces().items()}
        if not any(left.values()) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    session.report("namespaces, processes, mounts and cgroups that stay", sum(left.values()), None, "", "<= 0")


def traces() -> dict[str, int]:
    """How many things of the cluster there are in the kernel, by kind."""
    found = inventory.find(NAME)
    cgroups = sum(1 for top in found.cgroups for path in top.rglob("pod*") if path.is_dir())
    return {
        "namespaces": len(found.namespaces),
        "processes": len(found.processes),
        "mounts": len(found.mounts),
        "cgroups": cgroups,
    }


def processes_of_pods() -> list[int]:
    """What runs in the cluster's cgroups, and each container's conmon."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = f"/netsim/{NAME}/" in (process / "cgroup").read_text()
            if ours or (
                (process / "comm").read_text().strip() == "conmon"
                and f"/netsim/{NAME}/" in (process / "cmdline").read_text()
            ):
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return found


if __name__ == "__main__":
    harness.main(run)
