"""`netsim trace`: each way in which a packet can end, provoked on a real cluster and named right."""

from __future__ import annotations

import json
import signal
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import BIN, Cluster, cluster_name, run

CONFIG = """
apiVersion: netsim.io/v1alpha1
kind: Cluster
spec:
  nodes: 2
  network:
    firewall:
    - {name: no-8081, priority: 500, action: deny, protocols: ["tcp:8081"]}
"""

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  nodeName: node-1
  containers: [{name: main, image: busybox, command: [sleep, "10000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: node-2
  containers: [{name: main, image: nginx, ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: closed, labels: {app: closed}}
spec:
  nodeName: node-2
  containers: [{name: main, image: nginx, ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{name: http, port: 8080, targetPort: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec: {selector: {app: none}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: public}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 8080, targetPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: web.example}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec: {podSelector: {matchLabels: {app: closed}}, policyTypes: [Ingress]}
"""


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of its own: its links and routes are broken on purpose."""
    cluster = Cluster(cluster_name("trace"))
    config = tmp_path_factory.mktemp("trace") / "cluster.yaml"
    config.write_text(CONFIG)
    cluster.netsim("up", "--config", str(config))
    try:
        cluster.out("apply", "-f", "-", stdin=MANIFEST)
        cluster.out("wait", "--for=condition=Ready", "pod", "--all", "--timeout=30s")
        yield cluster
    finally:
        cluster.netsim("down")


@pytest.fixture
def story(traced: Cluster) -> Callable[..., Any]:
    def traced_story(*arguments: str) -> Any:
        return json.loads(traced.netsim("trace", *arguments, "-o", "json").stdout)

    return traced_story


def steps(leg: Any, kind: str) -> list[Any]:
    return [step for visit in leg["visits"] for step in visit["steps"] if step["kind"] == kind]


def test_the_whole_way_to_a_service_and_back(story: Callable[..., Any], eventually: Eventually) -> None:
    told = eventually(lambda: _delivered(story("pod/client", "service/web:http")))
    there, back = told["legs"]
    assert [visit["place"] for visit in there["visits"]] == [
        "pod/client",
        "node/node-1",
        "router",
        "node/node-2",
        "pod/web",
    ]
    assert [visit["place"] for visit in back["visits"]] == [
        "pod/web",
        "node/node-2",
        "router",
        "node/node-1",
        "pod/client",
    ]
    rules = steps(there, "rule")
    assert any(rule["data"].get("service") == "default/web:http" for rule in rules)
    chosen = next(rule for rule in rules if rule["data"]["chain"].startswith("KUBE-SEP"))
    assert "DNAT" in chosen["data"]["rule"]
    assert any(rule["data"]["table"] == "vpc" for rule in rules), "the VPC's firewall was asked"
    (translation,) = steps(there, "nat")
    assert "service/web" in translation["data"]["destination"]["before"]
    assert "pod/web" in translation["data"]["destination"]["after"]
    (undone,) = steps(back, "nat")
    assert "service/web" in undone["data"]["source"]["after"]
    assert "dport=8080" in steps(there, "connection")[0]["data"]["entry"]
    assert any("via" in route["text"] for route in steps(there, "route"))
    times = [step["time"] for visit in there["visits"] for step in visit["steps"] if step["time"]]
    assert len(times) == 10
    assert times == sorted(times)


def _delivered(told: Any) -> Any:
    assert told["result"] == "delivered", told["reason"]
    return told


@pytest.mark.parametrize(
    ("arguments", "last"),
    [
        (["pod/client", "pod/web", "--protocol", "icmp"], "pod/web"),
        (["node/node-1", "pod/web:80"], "pod/web"),
        (["pod/client", "node/node-2:30080"], "pod/web"),
        (["outside", "node/node-1:30080"], "pod/web"),
        (["outside", "service/public"], "pod/web"),
        (["pod/client", "kube-system/service/kube-dns:53", "--protocol", "tcp"], "router"),
    ],
)
def test_other_ends_and_protocols(story: Callable[..., Any], arguments: list[str], last: str) -> None:
    told = story(*arguments)
    assert told["result"] == "delivered", told["reason"]
    assert told["legs"][0]["visits"][-1]["place"] == last


def test_a_node_port_of_another_node_gives_the_packet_the_nodes_address(story: Callable[..., Any]) -> None:
    told = story("outside", "node/node-1:30080")
    translations = steps(told["legs"][0], "nat")
    assert any("source" in each["data"] and "node/node-1" in each["data"]["source"]["after"] for each in translations)


@pytest.mark.parametrize(
    ("arguments", "result", "reason"),
    [
        (["pod/client", "service/empty:80"], "no-endpoints", "default/empty"),
        (["node/node-1", "service/empty:80"], "no-endpoints", "default/empty"),
        (
            ["node/node-1", "node/node-1:9", "--protocol", "udp"],
            "not-listening",
            "nobody listens on port 9 at node/node-1",
        ),
        (["pod/client", "pod/closed:80"], "policy", "default/closed"),
        (["pod/client", "pod/web:8081"], "firewall", "no-8081"),
        (["pod/client", "service/web:81"], "no-port", "has no tcp port 81; its ports: 8080/TCP (http)"),
        (["pod/client", "service/web", "--protocol", "icmp"], "no-port", "is there for its ports only"),
        (["pod/client", "pod/web:81"], "not-listening", "port 81"),
        (["pod/client", "pod/web:81", "--protocol", "udp"], "not-listening", "port 81"),
        (["pod/client", "pod/web", "--protocol", "icmp", "--size", "3000"], "mtu", "too big"),
    ],
)
def test_where_it_ended_and_why(story: Callable[..., Any], arguments: list[str], result: str, reason: str) -> None:
    told = story(*arguments, "--timeout", "0.5")
    assert (told["result"], reason in told["reason"]) == (result, True), told["reason"]


def test_a_smaller_mtu_on_the_way(traced: Cluster, story: Callable[..., Any]) -> None:
    router = ["ip", "-n", f"{traced.name}-router", "link", "set", "nic-node-2", "mtu"]
    run(*router, "1300")
    try:
        told = story("pod/client", "pod/web:80", "--protocol", "udp", "--size", "1350")
        assert told["result"] == "mtu", told["reason"]
        assert "1300 bytes fit" in told["reason"]
    finally:
        run(*router, "1460")


def test_a_link_that_takes_less_than_the_other_end_sends(traced: Cluster, story: Callable[..., Any]) -> None:
    """Nobody tells the sender of it: the kernel drops what is too long as it comes in."""
    node = ["ip", "-n", f"{traced.name}-node-2", "link", "set", "eth0", "mtu"]
    run(*node, "1300")
    try:
        # Not to the pod: of the way there the client's kernel may have learned something.
        told = story("pod/client", "node/node-2", "--protocol", "icmp", "--size", "1350", "--timeout", "0.5")
    finally:
        run(*node, "1460")
    assert (told["result"], told["where"]) == ("mtu", "node/node-2"), told["reason"]
    assert told["reason"] == "it has 1378 bytes, and eth0 of node/node-2 takes 1300"


def test_an_address_that_nobody_has(traced: Cluster, story: Callable[..., Any]) -> None:
    for number in (1, 2):
        free = traced.json("get", "node", f"node-{number}")["spec"]["podCIDR"].replace(".0/24", ".250")
        told = story("pod/client", free, "--timeout", "0.5")
        assert told["result"] == "no-neighbour", told["reason"]
        assert told["reason"].endswith(f"answers ARP for {free}")
        assert told["where"] == ("pod/client" if number == 1 else "node/node-2")


def test_a_route_that_is_missing(traced: Cluster, story: Callable[..., Any]) -> None:
    node = traced.json("get", "node", "node-2")["spec"]["podCIDR"]
    route = run("ip", "-n", f"{traced.name}-router", "route", "show", node).stdout.split()
    run("ip", "-n", f"{traced.name}-router", "route", "add", "unreachable", "10.0.0.0/8", "metric", "9")
    run("ip", "-n", f"{traced.name}-router", "route", "del", node)
    try:
        told = story("pod/client", "pod/web:80")
        assert told["result"] == "no-route", told["reason"]
        assert "router" in told["where"]
    finally:
        run("ip", "-n", f"{traced.name}-router", "route", "add", *route)
        run("ip", "-n", f"{traced.name}-router", "route", "del", "unreachable", "10.0.0.0/8")


def test_a_link_that_is_down(traced: Cluster, story: Callable[..., Any], eventually: Eventually) -> None:
    nic = ["ip", "-n", f"{traced.name}-router", "link", "set", "nic-node-2"]
    run(*nic, "down")
    try:
        told = story("pod/client", "pod/web:80", "--timeout", "0.5")
        assert told["result"] == "link-down", told["reason"]
        assert "nic-node-2" in told["reason"]
    finally:
        run(*nic, "up")
    eventually(lambda: _delivered(story("pod/client", "pod/web:80")))


def test_text_and_picture(traced: Cluster) -> None:
    text = traced.netsim("trace", "pod/client", "service/web:8080").stdout
    assert "Result: delivered, at pod/web" in text
    assert "µs from the first link to the last" in text
    assert "probability" in text or "KUBE-SEP" in text
    picture = ElementTree.fromstring(traced.netsim("trace", "pod/client", "service/empty", "-o", "svg").stdout)
    words = " ".join(picture.itertext())
    assert "node/node-1" in words
    assert "no-endpoints" in words


def test_two_at_once_are_told_apart(traced: Cluster) -> None:
    argv = [str(BIN / "netsim"), "trace", "pod/client", "-o", "json", "--name", traced.name]
    both = [subprocess.Popen([*argv, to], stdout=subprocess.PIPE, text=True) for to in ("pod/web", "service/empty")]
    told = [json.loads(each.communicate(timeout=60)[0]) for each in both]
    assert [each["result"] for each in told] == ["delivered", "no-endpoints"]


def test_nothing_stays_behind_even_when_killed(traced: Cluster, eventually: Eventually) -> None:
    killed = subprocess.Popen(
        [str(BIN / "netsim"), "trace", "pod/client", "pod/closed:80", "--timeout", "20", "--name", traced.name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: "netsim-trace" in _tables(traced))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    eventually(lambda: "netsim-trace" not in _tables(traced))
    eventually(lambda: not _writers(traced))


def _tables(cluster: Cluster) -> str:
    return run("ip", "netns", "exec", f"{cluster.name}-node-1", "nft", "list", "tables").stdout


def _writers(cluster: Cluster) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            owned = f"NETSIM_CLUSTER={cluster.name}\0".encode() in path.read_bytes()
            if owned and "writer" in (path.parent / "cmdline").read_text():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pod/none", "pod/web"], "there is no pod none"),
        (["pod/client", "service/none"], "there is no service none"),
        (["pod/client", "pod/web:99999"], "there is no port 99999"),
        (["pod/client", "service/web:https"], "has no port https; its ports: 8080/TCP (http)"),
        (["pod/client", "service/alias"], "is of type ExternalName: it has no address, DNS answers with web.example"),
        (["subnet/none", "pod/web"], "there is no subnet none"),
        (["pod/client", "pod/web", "--size", "9"], "--size is for udp and icmp"),
    ],
)
def test_what_is_wrong_is_said(traced: Cluster, arguments: list[str], said: str) -> None:
    refused = traced.netsim("trace", *arguments, check=False)
    assert refused.returncode == 1
    assert said in refused.stderr


def test_a_node_that_has_had_no_pod_has_no_bridge_to_watch(traced: Cluster, story: Callable[..., Any]) -> None:
    traced.netsim("node", "add", "empty")
    try:
        told = story("pod/client", "pod/web:80")
    finally:
        traced.netsim("node", "remove", "empty")
    assert told["result"] == "delivered", told["reason"]


def test_a_drop_before_connections_are_tracked_is_named(traced: Cluster, story: Callable[..., Any]) -> None:
    rule = ("PREROUTING", "-p", "tcp", "--dport", "80", "-j", "DROP")
    node = ("ip", "netns", "exec", f"{traced.name}-node-2", "iptables", "-t", "raw")
    run(*node, "-I", *rule)
    try:
        told = story("pod/client", "pod/web:80")
    finally:
        run(*node, "-D", *rule)
    assert told["result"] == "dropped", told["reason"]
    assert "--dport 80 -j DROP" in told["reason"]
    assert told["where"] == "node/node-2"


def test_an_answer_that_is_sent_again_is_told_once(traced: Cluster, story: Callable[..., Any]) -> None:
    rule = ("PREROUTING", "-p", "tcp", "--sport", "80", "-j", "DROP")
    node = ("ip", "netns", "exec", f"{traced.name}-node-2", "iptables", "-t", "raw")
    run(*node, "-I", *rule)
    try:
        told = story("pod/client", "pod/web:80", "--timeout", "3")
    finally:
        run(*node, "-D", *rule)
    assert told["result"] == "lost", told["reason"]
    assert [visit["place"] for visit in told["legs"][1]["visits"]] == ["pod/web", "node/node-2"]


def test_a_route_of_several_next_hops_names_them_all(story: Callable[..., Any]) -> None:
    first = story("outside", "service/public")["legs"][0]["visits"][0]
    (route,) = [step["text"] for step in first["steps"] if step["kind"] == "route"]
    assert first["place"] == "router"
    assert "via one of 10." in route
    assert route.count(" dev br-default") == 2


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_refusal_from_outside_is_not_the_routers(traced: Cluster, story: Callable[..., Any], protocol: str) -> None:
    host = run("ip", "-n", f"{traced.name}-router", "route", "show", "default").stdout.split()[2]
    told = story("pod/client", f"{host}:9", "--protocol", protocol)
    assert (told["result"], told["reason"].split(";")[0].split(" refuses ")[1]) == ("not-listening", "it at port 9")
    assert "leaving by uplink" in told["reason"]
