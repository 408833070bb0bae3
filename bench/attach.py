"""What a pod's network costs: its namespace and the whole CNI ADD, beside the same in C over raw netlink.

Ours is measured as a daemon does it: a runtime and a thread per node, the plugins in process, addresses and results
kept on disk. One more figure is the same through the executables.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import harness
from cni.install import ensure_executables
from cni.runtime import Attachment, Runtime
from netsim import inventory, namespace, programs
from netsim.mark import Mark
from netsim.namespace import NamespaceExecutor, namespace_path

PODS, NODES = 200, 2
EXECUTED_PODS = 20
CLUSTER = f"bench{os.getpid()}"
SETTLE_SECONDS = 1.0
UPSTREAM = Path("/usr/lib/cni")


def run(session: harness.Session) -> None:
    """Reports the figures."""
    with tempfile.TemporaryDirectory() as scratch:
        floor = programs.ensure_built(Path(__file__).with_name("netfloor.c"), Path(scratch))
        ours, reference = [], []
        for _ in range(session.runs):
            reference.append(float(subprocess.check_output([str(floor), str(PODS), str(NODES)])))
            # The kernel takes namespaces apart for a while after they are let go of.
            time.sleep(SETTLE_SECONDS)
            ours.append(_attach_all(PODS, execute=None))
            time.sleep(SETTLE_SECONDS)
        figure = f"pod network, {PODS} pods on {NODES} nodes, CNI ADD"
        session.report(figure, ours, reference, "ms", "<= 2.5x", reference_is="in C, a pod")
        _report_executed(session, Path(scratch) / "bin")


def _report_executed(session: harness.Session, directory: Path) -> None:
    ensure_executables(directory)
    own, upstream = [], []
    for _ in range(session.runs):
        own.append(_attach_all(EXECUTED_PODS, execute=directory))
        if (UPSTREAM / "bridge").exists():
            upstream.append(_attach_all(EXECUTED_PODS, execute=UPSTREAM))
    figure = f"the same by executables, {EXECUTED_PODS} pods"
    if upstream:
        session.report(figure, own, upstream, "ms", "<= 2.5x", reference_is="upstream's bridge")
    else:
        session.report(figure, own, None, "ms")


def _attach_all(pods: int, *, execute: Path | None) -> float:
    """Milliseconds a pod; everything is removed again."""
    with tempfile.TemporaryDirectory() as data, _nodes(Path(data), execute) as nodes:
        began = time.perf_counter()
        futures = []
        for number in range(pods):
            executor, runtime = nodes[number % NODES]
            futures.append(executor.submit(_attach, runtime, number))
        for future in futures:
            future.result(120)
        return (time.perf_counter() - began) / pods * 1e3


def _attach(runtime: Runtime, number: int) -> None:
    name = f"{CLUSTER}-pod-{number}"
    namespace.create_namespace(name, Mark(CLUSTER, "pod", f"default/pod-{number}"))
    runtime.add(Attachment(f"{CLUSTER}-{number}", str(namespace_path(name))))


@contextmanager
def _nodes(data: Path, execute: Path | None) -> Iterator[list[tuple[NamespaceExecutor, Runtime]]]:
    made = []
    try:
        for number in range(1, NODES + 1):
            name = f"{CLUSTER}-node-{number}"
            namespace.create_namespace(name, Mark(CLUSTER, "node", f"node-{number}"))
            directories = [execute] if execute else []
            runtime = Runtime(_conflist(data, number, execute is not None), directories, data / f"cache-{number}")
            made.append((NamespaceExecutor(namespace_path(name), name), runtime))
        yield made
    finally:
        for executor, runtime in made:
            executor.close()
            runtime.close()
        inventory.remove(CLUSTER)


def _conflist(data: Path, number: int, execute: bool) -> dict[str, Any]:
    plugin = {
        "type": "bridge",
        "bridge": "cbr0",
        "isGateway": True,
        "hairpinMode": True,
        "mtu": 1460,
        "netsim.execute": execute,
        "ipam": {
            "type": "host-local",
            "dataDir": str(data / f"node-{number}"),
            "ranges": [[{"subnet": f"10.44.{number}.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "1.0.0", "name": "bench", "plugins": [plugin]}


if __name__ == "__main__":
    harness.main(run)
