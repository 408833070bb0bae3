"""The story of one packet: how long `netsim trace` takes through a ClusterIP, with few and with many Services.

Reference, measured in the same session: `kubectl exec` of the same request in the same pod, which sends the same
packets and tells nothing of them.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

from bench import commands, harness
from bench.cluster import NAME, PODS, connect, netsim, timed
from bench.harness import Session
from bench.kube import Kube, is_ready
from controlplane.directories import Directories

SERVICES = "/api/v1/namespaces/default/services"
MANY = 200
NODES = 5
KUBECTL = str(Path(sys.executable).with_name("kubectl"))


def run(session: Session) -> None:
    """How long a trace takes beside the bare request."""
    netsim("down")
    try:
        netsim("up", "--nodes", str(NODES))
        kube = connect()
        kube.until(PODS, lambda pods: sum(map(is_ready, pods.values())) == 2, lambda: _pods(kube))
        kube.post(SERVICES, _service("web"))
        _report(session, 1)
        for number in range(1, MANY):
            kube.post(SERVICES, _service(f"other-{number}"))
        _report(session, MANY)
    finally:
        netsim("down")


def _report(session: Session, services: int) -> None:
    trace = functools.partial(netsim, "trace", "pod/client", "service/web:80")
    trace()
    traces = [timed(trace) for _ in range(session.runs)]
    requests = [timed(_request) for _ in range(session.runs)]
    figure = f"netsim trace to a ClusterIP, {NODES} nodes, {services} Services"
    session.report(figure, traces, requests, "s", "<= 2", reference_is="kubectl exec of the same request")


def _request() -> None:
    options = ["--kubeconfig", str(Directories(NAME).admin_kubeconfig)]
    commands.output(KUBECTL, *options, "exec", "client", "--", "wget", "-q", "-O", "-", "http://web")


def _pods(kube: Kube) -> None:
    client = {"name": "main", "image": "busybox", "command": ["sleep", "10000"]}
    web = {"name": "main", "image": "nginx", "ports": [{"containerPort": 80}]}
    for name, node, container in (("client", "node-1", client), ("web", "node-2", web)):
        spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 1}
        kube.post(PODS, {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})


def _service(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}


if __name__ == "__main__":
    harness.main(run)
