"""The first hour of a Kubernetes course, step by step, with the real kubectl."""

from __future__ import annotations

import ipaddress
import re
import subprocess
import threading

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster, run

APP = "hello-world-rest-api"
IMAGE = "in28min/hello-world-rest-api"


def curl(url: str) -> str:
    """One request from the host's own shell."""
    return run("curl", "-sS", "--fail", "--max-time", "20", url).stdout


@pytest.fixture
def app(cluster: Cluster, namespace: str) -> str:
    """The course's application, deployed; the name of its namespace."""
    cluster.out("-n", namespace, "create", "deployment", APP, f"--image={IMAGE}:0.0.1.RELEASE")
    cluster.out("-n", namespace, "rollout", "status", f"deployment/{APP}", "--timeout=120s")
    return namespace


def expose(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Exposes the application; its external, cluster and node addresses as host:port."""
    cluster.out("-n", namespace, "expose", "deployment", APP, "--type=LoadBalancer", "--port=8080")
    Eventually()(
        lambda: cluster.json("-n", namespace, "get", "service", APP)["status"]["loadBalancer"].get("ingress"),
        within=120,
        message="an external address",
    )
    service = cluster.json("-n", namespace, "get", "service", APP)
    node = cluster.json("get", "node", "node-2")["status"]["addresses"][0]["address"]
    return {
        "external": f"{service['status']['loadBalancer']['ingress'][0]['ip']}:8080",
        "cluster": f"{service['spec']['clusterIP']}:8080",
        "node": f"{node}:{service['spec']['ports'][0]['nodePort']}",
    }


def pod_names(cluster: Cluster, namespace: str) -> set[str]:
    return set(cluster.out("-n", namespace, "get", "pods", "-l", f"app={APP}", "-o", "name").split())


def test_a_deployment_gives_a_pod_with_an_address_of_its_nodes_range(cluster: Cluster, app: str) -> None:
    lines = cluster.out("-n", app, "get", "pods", "-o", "wide").splitlines()
    assert lines[0].split()[:7] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    name, ready, status, restarts, _age, address, node = lines[1].split()[:7]
    assert re.fullmatch(rf"{APP}-[0-9a-z]+-[0-9a-z]{{5}}", name)
    assert (ready, status, restarts) == ("1/1", "Running", "0")
    pod_range = cluster.json("get", "node", node)["spec"]["podCIDR"]
    assert ipaddress.ip_address(address) in ipaddress.ip_network(pod_range)
    described = cluster.out("-n", app, "describe", "pod", name)
    assert f"Image:          {IMAGE}:0.0.1.RELEASE" in described
    assert f"Controlled By:  ReplicaSet/{name.rsplit('-', 1)[0]}" in described
    assert "Successfully assigned" in described


def test_a_load_balancer_answers_on_all_its_addresses(cluster: Cluster, app: str) -> None:
    addresses = expose(cluster, app)
    pod = pod_names(cluster, app).pop().removeprefix("pod/")
    Eventually()(lambda: pod in curl(f"http://{addresses['external']}/"))
    assert pod in curl(f"http://{addresses['node']}/")
    inside = ["-n", app, "exec", pod, "--", "curl", "-sS", "--max-time", "20", f"http://{addresses['cluster']}/"]
    assert pod in cluster.out(*inside)


def test_a_deleted_pod_is_replaced_by_another(cluster: Cluster, app: str, eventually: Eventually) -> None:
    (before,) = pod_names(cluster, app)
    cluster.out("-n", app, "delete", before)
    after = eventually(lambda: pod_names(cluster, app) - {before})
    assert len(after) == 1
    for spelling in ("rs", "replicaset", "replicasets"):
        header, row = cluster.out("-n", app, "get", spelling).splitlines()
        assert header.split() == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
        assert row.split()[1:3] == ["1", "1"]


def test_scaled_pods_spread_over_the_nodes_and_share_the_load(cluster: Cluster, app: str) -> None:
    addresses = expose(cluster, app)
    cluster.out("-n", app, "scale", "deployment", APP, "--replicas=3")
    cluster.out("-n", app, "rollout", "status", f"deployment/{APP}", "--timeout=120s")
    pods = cluster.json("-n", app, "get", "pods")["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node-1", "node-2", "node-3"}
    waiting = {pod["metadata"]["name"] for pod in pods}

    def all_reached() -> bool:
        answer = curl(f"http://{addresses['external']}/")
        waiting.difference_update({name for name in waiting if name in answer})
        return not waiting

    Eventually()(all_reached, message="every pod answers the load balancer's address")


def test_events_tell_the_story_in_upstreams_words(cluster: Cluster, app: str, eventually: Eventually) -> None:
    cluster.out("-n", app, "scale", "deployment", APP, "--replicas=2")
    cluster.out("-n", app, "rollout", "status", f"deployment/{APP}", "--timeout=120s")
    cluster.out("-n", app, "scale", "deployment", APP, "--replicas=1")
    eventually(lambda: len(pod_names(cluster, app)) == 1)
    rs = cluster.out("-n", app, "get", "rs", "-o", "jsonpath={.items[0].metadata.name}")
    (pod,) = (name.removeprefix("pod/") for name in pod_names(cluster, app))

    def told() -> bool:
        seen = cluster.out("-n", app, "get", "events", "--sort-by=.metadata.creationTimestamp")
        for reason, about, words in (
            ("ScalingReplicaSet", f"deployment/{APP}", f"Scaled up replica set {rs} from 0 to 1"),
            ("ScalingReplicaSet", f"deployment/{APP}", f"Scaled down replica set {rs} from 2 to 1"),
            ("SuccessfulCreate", f"replicaset/{rs}", f"Created pod: {pod}"),
            ("SuccessfulDelete", f"replicaset/{rs}", "Deleted pod: "),
            ("Scheduled", f"pod/{pod}", f"Successfully assigned {app}/{pod} to node-"),
            ("Pulled", f"pod/{pod}", "Container image"),
            ("Created", f"pod/{pod}", "Container created"),
            ("Started", f"pod/{pod}", "Container started"),
            ("Killing", "pod/", f"Stopping container {APP}"),
        ):
            assert re.search(rf"Normal +{reason} +{re.escape(about)}\S* +{re.escape(words)}", seen), (reason, seen)
        return True

    eventually(told)


def test_a_rolling_update_loses_no_request(cluster: Cluster, app: str) -> None:
    addresses = expose(cluster, app)
    cluster.out("-n", app, "scale", "deployment", APP, "--replicas=2")
    cluster.out("-n", app, "rollout", "status", f"deployment/{APP}", "--timeout=120s")
    old = cluster.out("-n", app, "get", "rs", "-o", "jsonpath={.items[0].metadata.name}")
    Eventually()(lambda: curl(f"http://{addresses['external']}/"))
    failures: list[str] = []
    answers: list[str] = []
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            try:
                answers.append(curl(f"http://{addresses['external']}/"))
            except AssertionError as error:
                failures.append(str(error))

    looping = threading.Thread(target=client)
    looping.start()
    try:
        cluster.out("-n", app, "set", "image", f"deployment/{APP}", f"{APP}={IMAGE}:0.0.2.RELEASE")
        cluster.out("-n", app, "rollout", "status", f"deployment/{APP}", "--timeout=120s")
        Eventually()(lambda: len(pod_names(cluster, app)) == 2, message="the old pods are gone")
    finally:
        stop.set()
        looping.join()
    assert failures == []
    assert any("0.0.1.RELEASE" in answer for answer in answers)
    assert "0.0.2.RELEASE" in curl(f"http://{addresses['external']}/")
    assert cluster.json("-n", app, "get", "rs", old)["spec"]["replicas"] == 0
    history = cluster.out("-n", app, "rollout", "history", f"deployment/{APP}")
    assert re.findall(r"^(\d+)", history, re.MULTILINE) == ["1", "2"]
    cluster.out("-n", app, "rollout", "undo", f"deployment/{APP}")
    cluster.out("-n", app, "rollout", "status", f"deployment/{APP}", "--timeout=120s")
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert cluster.out("-n", app, "get", "deployment", APP, "-o", image) == f"{IMAGE}:0.0.1.RELEASE"
    assert cluster.json("-n", app, "get", "rs", old)["spec"]["replicas"] == 2


def test_two_containers_of_a_pod_share_localhost(cluster: Cluster, namespace: str) -> None:
    manifest = """
apiVersion: v1
kind: Pod
metadata: {name: pair}
spec:
  containers:
  - {name: proxy, image: "nginx:1.27", ports: [{containerPort: 80}]}
  - {name: application, image: "example/application:1", ports: [{containerPort: 8000}]}
"""
    cluster.out("-n", namespace, "apply", "-f", "-", stdin=manifest)
    cluster.out("-n", namespace, "wait", "--for=condition=Ready", "pod/pair", "--timeout=120s")

    def ask(container: str, port: int) -> str:
        return cluster.out(
            "-n", namespace, "exec", "pair", "-c", container, "--", "curl", "-sS", f"http://localhost:{port}/"
        )

    assert "nginx:1.27" in ask("application", 80)
    assert "example/application:1" in ask("proxy", 8000)


def test_what_is_underneath_is_real(cluster: Cluster, app: str) -> None:
    pod = cluster.json("-n", app, "get", "pods")["items"][0]
    spaces = run("ip", "netns", "list").stdout
    assert f"{cluster.name}-{pod['spec']['nodeName']}" in spaces
    (mine,) = [line.split()[0] for line in spaces.splitlines() if pod["metadata"]["name"] in line]
    shown = run("ip", "netns", "exec", mine, "ip", "-4", "-o", "address", "show", "dev", "eth0").stdout
    assert f"inet {pod['status']['podIP']}/24" in shown
    assert subprocess.run(["ping", "-c", "1", "-W", "2", pod["status"]["podIP"]], capture_output=True).returncode == 0
