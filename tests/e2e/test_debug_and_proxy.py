"""kubectl debug in all its forms, kubectl proxy, and a drain that waits for a disruption budget."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster
from tests.e2e.test_streams import Terminal, terminal


@pytest.fixture
def web(cluster: Cluster, namespace: str) -> str:
    """A pod and a Service `web`; the name of their namespace."""
    cluster.out("-n", namespace, "run", "web", "--image=nginx", "--port=80", "--expose")
    cluster.out("-n", namespace, "wait", "--for=condition=Ready", "pod/web", "--timeout=120s")
    return namespace


def ask(person: Terminal, command: str, answer: str) -> None:
    """Types until the shell is there and answers."""
    person.type(f"{command}\n")
    person.expect(answer)


def test_a_running_pod_is_debugged(cluster: Cluster, web: str) -> None:
    argv = ("-n", web, "debug", "-it", "web", "--image=busybox", "--target=web", "-c", "look")
    with terminal(cluster.argv(*argv)) as person:
        ask(person, "echo host=$(hostname)", "\nhost=web")
        # The target's program is the first process; the shell is another.
        ask(person, "tr '\\0' ' ' </proc/1/cmdline; echo", "/.netsim/server")
        ask(person, "wget -qO- 127.0.0.1 | grep ^pod; stty size", "pod: ")
        person.type("exit 3\n")
        person.exit_status()
    pod = cluster.json("-n", web, "get", "pod", "web")
    (status,) = pod["status"]["ephemeralContainerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 3
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert "host=web" in cluster.out("-n", web, "logs", "web", "-c", "look")
    refused = cluster.kubectl("-n", web, "debug", "web", "--image=busybox", "--target=none", check=False)
    assert 'spec.ephemeralContainers[1].targetContainerName: Not found: "none"' in refused.stderr


def test_a_copy_of_a_pod_is_debugged(cluster: Cluster, web: str) -> None:
    argv = ("-n", web, "debug", "web", "--copy-to=copy", "--container=web", "--image=busybox", "--", "sleep", "600")
    cluster.out(*argv)
    cluster.out("-n", web, "wait", "--for=condition=Ready", "pod/copy", "--timeout=120s")
    copied = cluster.json("-n", web, "get", "pod", "copy")["spec"]
    assert (copied["containers"][0]["image"], copied["containers"][0]["command"]) == ("busybox", ["sleep", "600"])
    cluster.out("-n", web, "delete", "pod", "copy", "--now", "--wait=false")


def test_a_node_is_debugged(cluster: Cluster, namespace: str) -> None:
    with terminal(cluster.argv("-n", namespace, "debug", "node/node-2", "-it", "--image=busybox")) as person:
        ask(person, "echo host=$(hostname)", "\nhost=node-2")
        addresses = cluster.json("get", "node", "node-2")["status"]["addresses"]
        ask(person, "ip -br address show eth0", next(a["address"] for a in addresses if a["type"] == "InternalIP"))
        ask(person, "ls /host/etc/hostname /host/proc/1/comm", "/host/proc/1/comm")
        person.type("exit\n")
        person.exit_status()
    (name,) = cluster.out("-n", namespace, "get", "pods", "-o", "name").split()
    assert name.startswith("pod/node-debugger-node-2-")
    spec = cluster.json("-n", namespace, "get", name)["spec"]
    assert (spec["hostNetwork"], spec["hostPID"], spec["nodeName"]) == (True, True, "node-2")


@contextmanager
def proxy(cluster: Cluster) -> Iterator[int]:
    """The port of a running `kubectl proxy`."""
    with subprocess.Popen(cluster.argv("proxy", "--port=0"), stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            yield int(running.stdout.readline().rpartition(":")[2])
        finally:
            running.kill()


def test_services_and_pods_are_reached_through_the_api(cluster: Cluster, web: str, eventually: Eventually) -> None:
    path = f"/api/v1/namespaces/{web}/services/web:80/proxy/hello?a=1"
    page = eventually(lambda: cluster.kubectl("get", "--raw", path, check=False).stdout)
    assert "request: GET /hello?a=1 HTTP/1.1" in page
    with proxy(cluster) as port:
        url = f"http://127.0.0.1:{port}/api/v1/namespaces/{web}/pods/http:web:80/proxy/x"
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert "request: GET /x HTTP/1.1" in answer.read().decode()
    cluster.out("-n", web, "delete", "pod", "web", "--now")
    none = cluster.kubectl("get", "--raw", path, check=False)
    assert none.stderr == ('Error from server (ServiceUnavailable): no endpoints available for service "web"\n')
    assert cluster.out("get", "--raw", "/api/v1/nodes/node-1/proxy/healthz") == "ok"


BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "web"},
    "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "web"}}},
}


def test_a_drain_waits_for_the_budget(cluster: Cluster, namespace: str, eventually: Eventually) -> None:
    cluster.out("-n", namespace, "create", "deployment", "web", "--image=nginx", "--replicas=2")
    cluster.out("-n", namespace, "wait", "--for=condition=Available", "deployment/web", "--timeout=120s")
    made = cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(BUDGET))
    assert "Warning" not in made.stderr
    eventually(lambda: cluster.json("-n", namespace, "get", "pdb", "web")["status"]["currentHealthy"] == 2)
    node = cluster.json("-n", namespace, "get", "pods")["items"][0]["spec"]["nodeName"]
    argv = ("drain", node, "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--pod-selector=app=web")
    try:
        held = cluster.kubectl(*argv, "--timeout=2s", check=False)
        assert "Cannot evict pod as it would violate the pod's disruption budget." in held.stderr
        assert held.returncode == 1
        cluster.out("-n", namespace, "patch", "pdb", "web", "--type=merge", "-p", '{"spec":{"maxUnavailable":1}}')
        done = cluster.kubectl(*argv, "--timeout=50s")
        assert f"node/{node} drained" in done.stdout
        eventually(
            lambda: all(
                pod["spec"]["nodeName"] != node for pod in cluster.json("-n", namespace, "get", "pods")["items"]
            )
        )
    finally:
        cluster.out("uncordon", node)


def test_a_pod_right_behind_its_namespace_has_its_account(cluster: Cluster) -> None:
    for number in range(3):
        name = f"quick-{number}"
        cluster.out("create", "namespace", name)
        cluster.out("-n", name, "run", "web", "--image=nginx")
        (volume,) = cluster.json("-n", name, "get", "pod", "web")["spec"]["volumes"]
        assert volume["name"].startswith("kube-api-access-")
        cluster.out("delete", "namespace", name, "--wait=false")
