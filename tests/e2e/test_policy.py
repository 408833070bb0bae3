"""NetworkPolicies on a whole cluster: what a person applies, what packets meet then, and what netsim tells of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import BIN, Cluster, run

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers: [{name: c, image: nginx, ports: [{name: http, containerPort: 80}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {role: client}}
spec:
  containers: [{name: c, image: nginx, ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: other, labels: {app: other}}
spec:
  containers: [{name: c, image: nginx, ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8080, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec: {selector: {app: nothing}, ports: [{port: 80}]}
"""
DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""
ALLOW_CLIENT = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {role: client}}}]
    ports: [{port: http}]
"""
ALLOW_DNS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-dns}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
"""
EGRESS_TO_WEB = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: client-egress}
spec:
  podSelector: {matchLabels: {role: client}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]
"""
EAGER = """
apiVersion: v1
kind: Pod
metadata: {name: eager}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: busybox
    command: [bash, -c, "until timeout 0.2 bash -c '</dev/tcp/%s/80'; do echo denied; done; echo reached"]
"""


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Iterator[str]:
    """A namespace with a server and two clients."""
    cluster.out("create", "namespace", "shop")
    cluster.out("-n", "shop", "apply", "-f", "-", stdin=PODS)
    cluster.out("-n", "shop", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s")
    yield "shop"
    cluster.out("-n", "shop", "delete", "pods", "--all", "--now", "--wait=false")
    cluster.out("delete", "namespace", "shop", "--wait=true")


@pytest.fixture(autouse=True)
def no_policy(cluster: Cluster, shop: str) -> Iterator[None]:
    yield
    cluster.out("-n", shop, "delete", "networkpolicy", "--all")


def reached(cluster: Cluster, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The cells of `netsim reach`, by the last part of the names."""
    done = cluster.netsim("reach", "-n", "shop", "--timeout", "0.4", "-o", "json", *arguments, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {(cell["from"].split("/")[-1], cell["to"].split("/")[-1]): cell for cell in json.loads(done.stdout)}


def results(cells: dict[tuple[str, str], dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {pair: cell["result"] for pair, cell in cells.items()}


def apply(cluster: Cluster, *texts: str) -> None:
    cluster.out("-n", "shop", "apply", "-f", "-", stdin="---".join(texts))


def test_reach_tells_who_reaches_whom_and_why_not(cluster: Cluster, shop: str, eventually: Eventually) -> None:
    assert set(results(reached(cluster)).values()) == {"ok"}
    apply(cluster, ALLOW_CLIENT)
    eventually(lambda: results(reached(cluster))["other", "web"] == "denied")
    cells = reached(cluster)
    assert results(cells) == {
        ("client", "other"): "ok",
        ("client", "web"): "ok",
        ("other", "client"): "ok",
        ("other", "web"): "denied",
        ("web", "client"): "ok",
        ("web", "other"): "ok",
    }
    assert cells["other", "web"]["reason"] == "denied by shop/web (ingress)"
    by_service = reached(cluster, "--from", "role=client", "--from", "pod/other", "--to", "service/web")
    assert results(by_service) == {("client", "web"): "ok", ("other", "web"): "denied"}
    refused = reached(cluster, "--from", "pod/client", "--to", "service/empty")
    assert refused["client", "empty"]["result"] == "refused"
    assert refused["client", "empty"]["reason"] == "the Service has no endpoints"
    nobody = reached(cluster, "--from", "pod/other", "--to", "pod/client", "--port", "81")
    assert nobody["other", "client"]["reason"] == "nothing listens on tcp port 81"
    assert results(reached(cluster, "--protocol", "icmp"))["client", "web"] == "denied"


def test_default_deny_but_dns_and_one_way(cluster: Cluster, shop: str, eventually: Eventually) -> None:
    apply(cluster, DENY, ALLOW_DNS, ALLOW_CLIENT, EGRESS_TO_WEB)
    eventually(lambda: list(results(reached(cluster)).values()).count("denied") == 5)
    assert results(reached(cluster))["client", "web"] == "ok"
    # By the name of the Service: the name is found because DNS is allowed, the port because it is translated first.
    said = cluster.out(
        "-n", shop, "exec", "client", "--", "bash", "-c", "exec 3<>/dev/tcp/web/8080; echo >&3; echo connected"
    )
    assert said == "connected\n"
    outside = cluster.netsim(
        "reach", "--from", "node/node-1", "-n", "shop", "--to", "app=web", "--timeout", "0.3", check=False
    )
    # A node always reaches its own pods, as the kubelet's probes must.
    own = cluster.out("-n", "shop", "get", "pod", "web", "-o", "jsonpath={.spec.nodeName}") == "node-1"
    assert ("1 of 1" if own else "denied by shop/default-deny, shop/web (ingress)") in outside.stdout


def test_a_pods_first_packets_meet_the_policies(cluster: Cluster, shop: str, eventually: Eventually) -> None:
    apply(cluster, DENY.replace("Ingress, Egress", "Egress"))
    address = cluster.out("-n", shop, "get", "pod", "web", "-o", "jsonpath={.status.podIP}")
    cluster.out("-n", shop, "apply", "-f", "-", stdin=EAGER % address)
    eventually(lambda: cluster.kubectl("-n", shop, "logs", "eager", check=False).stdout.count("denied") >= 2)
    cluster.out("-n", shop, "delete", "networkpolicy", "--all")
    cluster.out("-n", shop, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/eager", "--timeout=60s")
    lines = cluster.out("-n", shop, "logs", "eager").splitlines()
    assert (lines[0], lines[-1]) == ("denied", "reached")
    cluster.out("-n", shop, "delete", "pod", "eager", "--now")


def test_explain_goes_from_objects_to_rules_and_back(cluster: Cluster, shop: str, eventually: Eventually) -> None:
    apply(cluster, ALLOW_CLIENT)
    eventually(lambda: results(reached(cluster))["other", "web"] == "denied")
    policy = explained(cluster, "policy", "web", "-n", shop)
    assert policy["policy"]["pods"] == ["shop/web"]
    (node,) = [name for name in policy if name.startswith("node-")]
    (chain,) = policy[node]["chains"]
    assert chain["denied"]["shop/web"] >= 1
    assert [member["name"] for each in policy[node]["sets"] for member in each["members"]] == [
        "shop/client",
        "shop/web",
    ]
    assert any("peer=shop/other" in line for line in policy["denials"])

    service = explained(cluster, "service", "web", "-n", shop, "--node", node)
    (endpoint,) = service["service"]["endpoints"]
    assert endpoint["pod"] == f"pod shop/web on {node}"
    (dnat,) = [rule for each in service[node] for rule in each["rules"] if rule["target"] == "DNAT"]
    back = explained(cluster, "rule", dnat["text"], "--node", node)
    assert back[node][0]["service"] == "shop/web"
    assert back[node][0]["endpoint"] == endpoint["address"]

    pod = explained(cluster, "pod", "web", "-n", shop)
    assert pod["services"][0]["name"] == "web"
    assert pod["policies"][0]["policies"] == ["shop/web"]
    assert pod["attachment"]["bridge"] == "cbr0"

    diff = explained(cluster, "policy", "web", "-n", shop, "--diff", "--node", node)
    assert {each["state"] for each in diff[node]["chains"]} <= {"new", "changed"}


def explained(cluster: Cluster, *arguments: str) -> Any:
    return json.loads(cluster.netsim("explain", *arguments, "-o", "json").stdout)


def test_explain_says_what_there_is_when_a_name_is_wrong(cluster: Cluster, shop: str) -> None:
    for arguments, words in {
        ("service", "wbe", "-n", shop): "there is no service wbe in namespace shop; there is: empty, web",
        ("rule", "KUBE-SVC-NOTHING"): "no node has this chain or set: KUBE-SVC-NOTHING",
    }.items():
        done = cluster.netsim("explain", *arguments, check=False)
        assert done.returncode == 1
        assert words in done.stderr
    with_node = cluster.netsim("explain", "pod", "web", "-n", shop, "--node", "node-9", check=False)
    assert "there is no node node-9 that runs" in with_node.stderr


def test_policies_survive_the_daemon(cluster: Cluster, shop: str, eventually: Eventually) -> None:
    apply(cluster, ALLOW_CLIENT)
    eventually(lambda: results(reached(cluster))["other", "web"] == "denied")
    node = cluster.out("-n", shop, "get", "pod", "web", "-o", "jsonpath={.spec.nodeName}")
    saved = ["ip", "netns", "exec", f"{cluster.name}-{node}", "iptables-save", "-t", "filter"]
    before = rules(run(*saved).stdout)
    subprocess.run(["kill", "-9", str(cluster.status()["daemon"]["pid"])], check=True)
    eventually(lambda: cluster.netsim("status", check=False).returncode == 1, within=30)
    assert rules(run(*saved).stdout) == before
    run(str(BIN / "netsim"), "up", "--name", cluster.name)
    assert rules(run(*saved).stdout) == before
    eventually(lambda: results(reached(cluster)) and results(reached(cluster))["other", "web"] == "denied", within=30)


def rules(saved: str) -> list[str]:
    return [line for line in saved.splitlines() if "NETSIM" in line]
