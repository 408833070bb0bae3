"""Host ports and the bandwidth annotations of pods, on the wire."""

from __future__ import annotations

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster, run

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations: {kubernetes.io/egress-bandwidth: 10M}
spec:
  nodeName: netsim-node
  containers: [{name: main, image: nginx, ports: [{containerPort: 80, hostPort: 8080}]}]
"""


def node_of(cluster: Cluster) -> tuple[str, str]:
    node = cluster.json("get", "nodes")["items"][0]
    address = next(each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP")
    return node["metadata"]["name"], address


def test_a_host_port_leads_to_the_pod_until_it_goes(cluster: Cluster, namespace: str) -> None:
    node, address = node_of(cluster)
    applied = cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=POD.replace("netsim-node", node))
    assert "Warning" not in applied.stderr
    cluster.out("-n", namespace, "wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    inside = ["ip", "netns", "exec", f"{cluster.name}-{node}"]
    asked = ["curl", "-sS", "--max-time", "5", f"http://{address}:8080/"]
    assert "web" in run("ip", "netns", "exec", f"{cluster.name}-router", *asked).stdout
    assert "web" in run(*inside, *asked).stdout, "the node itself"
    assert "10Mbit" in run(*inside, "tc", "qdisc", "show").stdout
    rules = run(*inside, "iptables-save", "-t", "nat").stdout.splitlines()
    chain = next(line.split()[-1] for line in rules if line.startswith("-A CNI-HOSTPORT-DNAT") and "8080" in line)
    told = [cluster.netsim("explain", "rule", "--", line).stdout for line in rules if chain in line and line[0] == "-"]
    assert len(told) == 4, "the way to the chain, two marks and the translation"
    assert all(f"pod {namespace}/web on {node}" in each for each in told), told
    cluster.out("-n", namespace, "delete", "pod", "web", "--now")
    assert run("ip", "netns", "exec", f"{cluster.name}-router", *asked, check=False).returncode == 7, "refused"
    assert "10Mbit" not in run(*inside, "tc", "qdisc", "show").stdout


def test_a_bandwidth_that_is_none_is_an_event(cluster: Cluster, namespace: str, eventually: Eventually) -> None:
    wrong = POD.replace("10M", "fast").replace("  nodeName: netsim-node\n", "").replace(", hostPort: 8080", "")
    cluster.out("-n", namespace, "apply", "-f", "-", stdin=wrong)
    failed = ["get", "events", "--field-selector", "reason=FailedCreatePodSandBox", "-o"]
    message = eventually(lambda: cluster.out("-n", namespace, *failed, "jsonpath={.items[*].message}"))
    assert "kubernetes.io/egress-bandwidth" in message
