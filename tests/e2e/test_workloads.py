"""ReplicationControllers, DaemonSets, Jobs, CronJobs and StatefulSets, by the real kubectl on a real cluster."""

from __future__ import annotations

from tests.e2e.conftest import Cluster

RC = """
apiVersion: v1
kind: ReplicationController
metadata: {name: web}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: nginx, ports: [{containerPort: 80}]}]
"""

DAEMON_SET = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: main, image: "agent:1"}]
"""


def lines(text: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in text.splitlines()]


def test_a_replication_controller_is_scaled_and_exposed(cluster: Cluster, namespace: str) -> None:
    cluster.out("-n", namespace, "apply", "-f", "-", stdin=RC)
    cluster.out("-n", namespace, "wait", "rc/web", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=30s")
    cluster.out("-n", namespace, "scale", "rc", "web", "--replicas=3")
    cluster.out("-n", namespace, "wait", "rc/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=30s")
    header, row = lines(cluster.out("-n", namespace, "get", "rc"))
    assert header == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
    assert row[:4] == ["web", "3", "3", "3"]
    cluster.out("-n", namespace, "expose", "rc", "web", "--port=80")
    service = cluster.json("-n", namespace, "get", "service", "web")
    assert service["spec"]["selector"] == {"app": "web"}
    assert "SuccessfulCreate" in cluster.out("-n", namespace, "describe", "rc", "web")
    assert "replicationcontroller/web" in cluster.out("-n", namespace, "get", "all")


def test_a_daemon_set_rolls_out_and_back(cluster: Cluster, namespace: str) -> None:
    cluster.out("-n", namespace, "apply", "-f", "-", stdin=DAEMON_SET)
    assert "successfully rolled out" in cluster.out("-n", namespace, "rollout", "status", "ds/agent", "--timeout=30s")
    header, row = lines(cluster.out("-n", namespace, "get", "ds"))
    assert header[:6] == ["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE"]
    assert row[:7] == ["agent", "3", "3", "3", "3", "3", "<none>"]
    nodes = {pod["spec"]["nodeName"] for pod in cluster.json("-n", namespace, "get", "pods")["items"]}
    assert len(nodes) == 3
    cluster.out("-n", namespace, "set", "image", "ds/agent", "main=agent:2")
    cluster.out("-n", namespace, "rollout", "status", "ds/agent", "--timeout=60s")
    history = lines(cluster.out("-n", namespace, "rollout", "history", "ds/agent"))
    assert [line[0] for line in history if line and line[0].isdigit()] == ["1", "2"]
    assert "agent:1" in cluster.out("-n", namespace, "rollout", "history", "ds/agent", "--revision=1")
    cluster.out("-n", namespace, "rollout", "undo", "ds/agent")
    cluster.out("-n", namespace, "rollout", "status", "ds/agent", "--timeout=60s")
    pods = cluster.json("-n", namespace, "get", "pods")["items"]
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {"agent:1"}
    assert "SuccessfulDelete" in cluster.out("-n", namespace, "describe", "ds", "agent")
    assert len(cluster.json("-n", namespace, "get", "controllerrevisions")["items"]) == 2
