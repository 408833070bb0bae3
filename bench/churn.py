"""Pods that come and go: how long each takes to be ready, and what a cluster grows by in minutes of rolling updates.

Upstream's objective is that a pod is ready within 5 s at 20 pods a second, image pull aside; there is no reference run.
"""

from __future__ import annotations

import functools
import itertools
import threading
import time
from pathlib import Path
from typing import Any

from bench import floor, harness
from bench.cluster import DEPLOYMENTS, PODS, connect, daemon_pid, deploy, netsim, pod_spec
from bench.harness import Session
from bench.kube import Kube, is_ready
from bench.scale import traces

RATE = 20
SECONDS = 30
KEPT = 100
"""So many pods are there at a time: when one comes, the oldest goes."""
REPLICAS = 20
MIB = 1024
SETTLE_SECONDS = 5.0
WARM_SECONDS = 45.0
EVENTS = "/api/v1/namespaces/default/events"


def run(session: Session) -> None:
    """The latency of a pod under churn, and the growth under rolling updates."""
    netsim("down")
    try:
        netsim("up", "--nodes", "3")
        _latency(session)
        _growth(session)
    finally:
        netsim("down")


def _latency(session: Session) -> None:
    made: dict[str, float] = {}
    taken: list[float] = []
    kube, watcher = connect(), connect()
    version = watcher.get(PODS)["metadata"]["resourceVersion"]
    done = threading.Event()

    def watch() -> None:
        for event in watcher.watch(PODS, version):
            name = event["object"]["metadata"].get("name", "")
            if name in made and event["type"] == "MODIFIED" and is_ready(event["object"]):
                taken.append(time.monotonic() - made.pop(name))
            if done.is_set() and not made:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    _churn(kube, made)
    done.set()
    kube.post(PODS, _named("last"))
    thread.join(SECONDS)
    taken.sort()
    for percent in (50, 99):
        value = taken[min(len(taken) * percent // 100, len(taken) - 1)]
        target = "<= 0.5" if percent == 99 else ""
        session.report(f"pod created to Ready at {RATE} pods/s, p{percent} of {len(taken)}", value, None, "s", target)
    if made:
        session.note(f"{len(made)} pods were not Ready in time")
    for item in kube.get(PODS)["items"]:
        kube.delete(f"{PODS}/{item['metadata']['name']}?gracePeriodSeconds=0")


def _churn(kube: Kube, made: dict[str, float]) -> None:
    began = time.monotonic()
    for number in range(RATE * SECONDS):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        name = f"churn-{number}"
        made[name] = time.monotonic()
        kube.post(PODS, _named(name))
        if number >= KEPT:
            kube.delete(f"{PODS}/churn-{number - KEPT}?gracePeriodSeconds=0")


def _named(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec()}


def _growth(session: Session) -> None:
    kube = connect()
    deploy(kube, REPLICAS)
    # First until caches are full and the history of the store has its length.
    _roll(kube, WARM_SECONDS)
    before = _figures()
    rollouts = _roll(kube, session.minutes * 60)
    after = _figures()
    session.note(f"{rollouts} rolling updates of {REPLICAS} pods in {session.minutes:g} minutes")
    session.note("events are deleted between them: they stay for an hour, which is memory by design")
    memory, was = after.pop("memory"), before.pop("memory")
    session.report(
        "daemon memory after", memory / MIB, was / MIB, "MiB", "<= 1.1x", reference_is="before the rolling updates"
    )
    for what, number in after.items():
        session.report(f"growth of {what}", number - before[what], None, "", "<= 3" if what == "open files" else "<= 0")


def _roll(kube: Kube, seconds: float) -> int:
    """Rolling updates one after the other for so long; returns how many."""
    deadline = time.monotonic() + seconds
    for number in itertools.count(1):
        stamp = f"{time.monotonic():.3f}"
        body = {"spec": {"template": {"metadata": {"annotations": {"bench/at": stamp}}}}}

        def rolled(found: dict[str, Any], stamp: str = stamp) -> bool:
            pods = [pod for pod in found.values() if pod["metadata"].get("annotations", {}).get("bench/at") == stamp]
            return sum(map(is_ready, pods)) == len(found) == REPLICAS

        kube.until(PODS, rolled, functools.partial(kube.patch, f"{DEPLOYMENTS}/bench", body))
        kube.delete(EVENTS)
        if time.monotonic() > deadline:
            time.sleep(SETTLE_SECONDS)
            return number
    raise AssertionError("unreachable")


def _figures() -> dict[str, int]:
    pid = daemon_pid()
    files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return {"memory": int(floor.resident(pid)), "open files": files, **traces()}


if __name__ == "__main__":
    harness.main(run)
