"""The whole cluster by its own command: how fast it comes and goes, how fast pods do, and what it all weighs.

References, measured in the same session: a bare Python TLS server with the same libraries (the least that any such
daemon could take to start, and weigh), and bare `crun` containers (the least that as many containers could take).
"""

from __future__ import annotations

import functools
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import bare, commands, floor, harness
from bench.harness import Session
from bench.kube import Kube, is_ready
from controlplane.directories import Directories

NAME = "bench"
REPLICAS = 100
PODS_AT_DOWN = 30
SINGLE_PODS = 20
SETTLE_SECONDS = 2.0
MIB = 1024

PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
netsim = functools.partial(commands.netsim, NAME)
IMAGE = "in28min/hello-world-rest-api:0.0.1.RELEASE"


def run(session: Session) -> None:
    """Every figure of a whole cluster."""
    netsim("down")
    try:
        containers = bare.measure(REPLICAS)
        floors = [floor.measure() for _ in range(session.runs)]
        _up_and_down(session, floors)
        _down_with_pods(session)
        netsim("up", "--nodes", "3")
        _pods(session, containers, floors)
    finally:
        netsim("down")


def _up_and_down(session: Session, floors: list[floor.Floor]) -> None:
    ups, downs = [], []
    netsim("up", "--nodes", "3")
    netsim("down")
    for _ in range(session.runs):
        ups.append(timed(lambda: netsim("up", "--nodes", "3")))
        downs.append(timed(lambda: netsim("down")))
    starts = [one.start for one in floors]
    server = "bare TLS server"
    session.report("netsim up, 3 nodes Ready", ups, starts, "s", "<= 1.5", reference_is=server)
    session.report("netsim down, no pods", downs, starts, "s", reference_is=server)


def _down_with_pods(session: Session) -> None:
    reference = bare.measure(PODS_AT_DOWN)
    times = []
    for _ in range(session.runs):
        netsim("up", "--nodes", "3")
        deploy(connect(), PODS_AT_DOWN)
        times.append(timed(lambda: netsim("down")))
    session.report(
        f"netsim down, {PODS_AT_DOWN} pods",
        times,
        reference.delete,
        "s",
        "<= 1.5",
        reference_is=f"crun delete of {PODS_AT_DOWN}",
    )


def _pods(session: Session, containers: bare.Bare, floors: list[floor.Floor]) -> None:
    kube, pid = connect(), daemon_pid()
    weight = [one.rss / MIB for one in floors]
    server = "bare TLS server"
    time.sleep(SETTLE_SECONDS)
    session.report("daemon memory, idle", floor.resident(pid) / MIB, weight, "MiB", "<= 100", reference_is=server)
    singles = [_single(kube, f"single-{number}") * 1000 for number in range(SINGLE_PODS)]
    session.report(
        "one pod, created to Ready, p50", singles, containers.one * 1000, "ms", "<= 150", reference_is="one crun run"
    )
    times = []
    for _ in range(session.runs):
        _empty(kube)
        times.append(deploy(kube, REPLICAS))
    reference = f"crun run of {REPLICAS}"
    session.report(
        f"Deployment of {REPLICAS}, created to all Ready", times, containers.all, "s", "<= 3", reference_is=reference
    )
    time.sleep(SETTLE_SECONDS)
    session.report(
        f"daemon memory, {REPLICAS} pods", floor.resident(pid) / MIB, weight, "MiB", "<= 140", reference_is=server
    )
    _memory_per_pod(session, containers)


def _memory_per_pod(session: Session, containers: bare.Bare) -> None:
    """Memory of a pod's processes: everything in the cluster's cgroups, and each container's conmon."""
    found: dict[str, list[tuple[int, int]]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text().strip()
            cgroups, arguments = (process / "cgroup").read_text(), (process / "cmdline").read_text()
            ours = f"/netsim/{NAME}/" in cgroups or (name == "conmon" and f"/netsim/{NAME}/" in arguments)
            if ours:
                found.setdefault(name, []).append(bare.memory(int(process.name)))
        except (FileNotFoundError, ProcessLookupError, IndexError, KeyError):
            continue  # it ended meanwhile
    pods = REPLICAS
    for name, values in sorted(found.items()):
        session.note(f"{name}: {len(values)} processes, median RSS {statistics.median(v[0] for v in values):.0f} KiB")
    rss = sum(value[0] for value in itertools.chain(*found.values())) / pods
    pss = sum(value[1] for value in itertools.chain(*found.values())) / pods
    session.report("resident memory of one pod's processes", rss, containers.rss, "KiB", reference_is="busybox sleep")
    session.report("the same, shared pages divided", pss, containers.pss, "KiB", reference_is="busybox sleep")


def deploy(kube: Kube, replicas: int) -> float:
    """Seconds from the Deployment's creation until all its pods are Ready, seen by a watch."""
    began = time.monotonic()
    kube.until(
        PODS,
        lambda pods: sum(map(is_ready, pods.values())) >= replicas,
        lambda: kube.post(DEPLOYMENTS, _deployment(replicas)),
    )
    return time.monotonic() - began


def _empty(kube: Kube) -> None:
    for item in kube.get(DEPLOYMENTS)["items"]:
        kube.delete(f"{DEPLOYMENTS}/{item['metadata']['name']}?propagationPolicy=Background")
    kube.until(PODS, lambda pods: not pods, lambda: None)
    time.sleep(SETTLE_SECONDS)


def _single(kube: Kube, name: str) -> float:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec()}
    began = time.monotonic()
    kube.until(PODS, lambda pods: is_ready(pods.get(name, {})), lambda: kube.post(PODS, pod))
    took = time.monotonic() - began
    kube.until(PODS, lambda pods: name not in pods, lambda: kube.delete(f"{PODS}/{name}?gracePeriodSeconds=0"))
    return took


def pod_spec() -> dict[str, Any]:
    return {"containers": [{"name": "web", "image": IMAGE}], "terminationGracePeriodSeconds": 1}


def _deployment(replicas: int) -> dict[str, Any]:
    labels = {"app": "bench"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bench"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec()},
        },
    }


def connect() -> Kube:
    return Kube(Directories(NAME).admin_kubeconfig)


def daemon_pid() -> int:
    return int(json.loads(netsim("status", "-o", "json"))["daemon"]["pid"])


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    harness.main(run)
