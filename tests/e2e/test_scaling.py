"""What is used is measured, and autoscalers and people see it: `kubectl top`, `kubectl autoscale`."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster

BUSY = "while :; do i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; sleep 0.01; done"


def busy(name: str) -> dict[str, Any]:
    labels = {"app": name}
    container = {
        "name": "main",
        "image": "busybox",
        "command": ["sh", "-c", BUSY],
        "resources": {"requests": {"cpu": "1m"}},
    }
    pod = {"containers": [container], "terminationGracePeriodSeconds": 1}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


def test_a_busy_deployment_is_measured_and_grows(cluster: Cluster, namespace: str, eventually: Eventually) -> None:
    cluster.out("-n", namespace, "apply", "-f", "-", stdin=json.dumps(busy("burn")))
    cluster.out("-n", namespace, "autoscale", "deployment", "burn", "--cpu=50%", "--min=1", "--max=2")

    def measured() -> bool:
        top = cluster.kubectl("-n", namespace, "top", "pods", "--containers", check=False).stdout
        return any(line.split()[1] == "main" and int(line.split()[2].rstrip("m")) > 1 for line in top.splitlines()[1:])

    eventually(measured, within=90.0)

    def grown() -> bool:
        found = cluster.json("-n", namespace, "get", "hpa", "burn")
        return bool(found["status"].get("desiredReplicas") == 2)

    # A sample counts once it began after the pod was ready; the autoscaler looks every 15 s.
    eventually(grown, within=120.0)
    assert "New size: 2; reason: cpu resource utilization (percentage of request) above target" in cluster.out(
        "-n", namespace, "get", "events", "--field-selector=reason=SuccessfulRescale"
    )

    def nodes_too() -> bool:
        top = cluster.kubectl("top", "nodes", check=False).stdout.splitlines()
        return {line.split()[0] for line in top} == {"NAME", "node-1", "node-2", "node-3"}

    eventually(nodes_too)
