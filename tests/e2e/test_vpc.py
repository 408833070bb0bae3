"""Clusters on networks of their own: regions, zones and subnets by cluster.yaml, and pods over vxlan."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netsim import namespace
from netsim.probe import features
from tests.conftest import Eventually
from tests.e2e.conftest import BIN, Cluster, cluster_name, run
from tests.e2e.test_dns import ask, texts

HEAD = "apiVersion: netsim.io/v1alpha1\nkind: Cluster\n"
CUSTOM = """\
spec:
  nodePools:
  - {name: web, nodes: 1, region: us-east1, zones: [us-east1-b, us-east1-c], tags: [web]}
  - {name: db, subnet: west, machineType: e2-standard-4, maxPodsPerNode: 8, tags: [db]}
  - {name: late, nodes: 2, subnet: west, podRange: few, maxPodsPerNode: 8}
  dns:
    stubDomains: {corp.example: [127.0.0.1:1]}
  network:
    mode: custom
    subnets:
    - {name: east, region: us-east1, range: 10.196.0.0/20, podRange: 10.220.0.0/16}
    - name: west
      region: us-west1
      range: 10.197.0.0/20
      podRange: 10.221.0.0/16
      egress: none
      secondaryRanges: [{name: few, range: 10.222.0.0/28}]
    serviceRange: 10.223.0.0/20
    firewall:
    - {name: no-8081, action: deny, priority: 900, protocols: ["tcp:8081"], targetTags: [web], logging: true}
    paths:
    - {between: [us-east1, us-west1], rate: 500Mbit}
"""
FAR = """\
spec:
  nodePools:
  - {name: east, nodes: 2, region: us-east1, zones: [us-east1-b, us-east1-c]}
  - {name: west, nodes: 1, subnet: west}
  network:
    mode: custom
    subnets:
    - {name: east, region: us-east1, range: 10.196.0.0/20, podRange: 10.220.0.0/16}
    - {name: west, region: us-west1, range: 10.197.0.0/20, podRange: 10.221.0.0/16}
    serviceRange: 10.223.0.0/20
    paths:
    - {between: [us-east1, us-west1], rate: 500Mbit, delay: 100ms, jitter: 5ms}
    - {between: [us-east1-b, us-east1-c], loss: 100%}
"""
VXLAN = "spec:\n  nodes: 2\n  network: {podNetwork: vxlan}\n"


def up(name: str, text: str, directory: Path) -> Iterator[Cluster]:
    made = Cluster(cluster_name(name))
    file = directory / "cluster.yaml"
    file.write_text(HEAD + text)
    made.netsim("up", "--config", str(file))
    try:
        yield made
    finally:
        made.netsim("down")


@pytest.fixture(scope="module")
def custom(nothing_left_behind: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from up("vpc", CUSTOM, tmp_path_factory.mktemp("custom"))


@pytest.fixture
def far(nothing_left_behind: None, tmp_path: Path) -> Iterator[Cluster]:
    if not features.has_netem():
        pytest.skip("the kernel has no netem; `make test-vm` has one that does")
    yield from up("far", FAR, tmp_path)


@pytest.fixture(scope="module")
def vxlan(nothing_left_behind: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from up("vxlan", VXLAN, tmp_path_factory.mktemp("vxlan"))


def start_pod(cluster: Cluster, name: str, node: str, *, image: str = "busybox") -> str:
    """A pod on a node, Ready; its address."""
    overrides = {"spec": {"nodeName": node, "terminationGracePeriodSeconds": 0}}
    cluster.out("run", name, f"--image={image}", f"--overrides={json.dumps(overrides)}", "--labels=app=" + name)
    cluster.out("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")
    return str(cluster.json("get", "pod", name)["status"]["podIP"])


def reaches(cluster: Cluster, pod: str, target: str) -> bool:
    asked = cluster.kubectl("exec", pod, "--", "wget", "-qO-", "-T", "2", f"http://{target}", check=False)
    return asked.returncode == 0


def events(cluster: Cluster, kind: str, name: str) -> list[Any]:
    selector = f"involvedObject.kind={kind},involvedObject.name={name}"
    return list(cluster.json("get", "events", "-A", f"--field-selector={selector}")["items"])


def test_nodes_say_where_they_are(custom: Cluster) -> None:
    nodes = {node["metadata"]["name"]: node for node in custom.json("get", "nodes")["items"]}
    labels = {name: node["metadata"]["labels"] for name, node in nodes.items()}
    assert [labels["web-2"][f"topology.kubernetes.io/{each}"] for each in ("region", "zone")] == [
        "us-east1",
        "us-east1-c",
    ]
    assert labels["db-1"]["node.kubernetes.io/instance-type"] == "e2-standard-4"
    assert labels["web-1"]["cloud.google.com/gke-nodepool"] == "web"
    assert [nodes[name]["spec"].get("podCIDR") for name in ("web-1", "web-2", "db-1", "late-1", "late-2")] == [
        "10.220.1.0/24",
        "10.220.2.0/24",
        "10.221.0.16/28",
        "10.222.0.0/28",
        None,
    ]
    assert nodes["db-1"]["status"]["capacity"]["pods"] == "8"


def test_a_node_without_a_range_left_is_not_ready_and_an_event_says_why(custom: Cluster) -> None:
    late = custom.json("get", "node", "late-2")
    (ready,) = [each for each in late["status"]["conditions"] if each["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "KubeletNotReady")
    assert "NetworkReady=false reason:NetworkPluginNotReady" in ready["message"]
    assert "node.kubernetes.io/not-ready" in [taint["key"] for taint in late["spec"]["taints"]]
    assert "CIDRNotAvailable" in [event["reason"] for event in events(custom, "Node", "late-2")]


def test_pods_services_and_names_across_subnets_behind_the_firewall(custom: Cluster, eventually: Eventually) -> None:
    east, west = start_pod(custom, "east", "web-1", image="nginx"), start_pod(custom, "west", "db-1")
    custom.out("expose", "pod", "east", "--port=80")
    assert reaches(custom, "west", east)
    eventually(lambda: reaches(custom, "west", "east"))
    server = custom.json("-n", "kube-system", "get", "service", "kube-dns")["spec"]["clusterIP"]
    (netns,) = Path("/run/netns").glob(f"{custom.name}-default-west-*")
    assert texts(ask(netns, "web-2.cluster.local", server=server)) == ["10.196.0.12"]
    assert (
        logged_denial(custom, netns, (east, 8081)).items()
        >= {
            "rule": "no-8081",
            "action": "deny",
            "source": west,
            "destination": east,
            "port": 8081,
        }.items()
    )
    told = custom.netsim("reach", "--from", "pod/west", "--to", "pod/east", "--port", "8081", "-o", "json", check=False)
    (cell,) = json.loads(told.stdout)
    assert cell["reason"] == "denied by VPC firewall rule no-8081"
    rules = {rule["name"]: rule for rule in vpc(custom, "firewall")}
    assert rules["no-8081"]["packets"] >= 1
    assert rules[f"gke-{custom.name}-all"]["packets"] >= 1
    assert vpc(custom, "paths")[0]["bytes"] > 0
    assert west.startswith("10.221.0.")
    link = ("ip", "netns", "exec", f"{custom.name}-router", "ip", "link", "set", "br-west", "mtu")
    run(*link, "1300")
    (netns,) = Path("/run/netns").glob(f"{custom.name}-default-east-*")
    refused = run("ip", "netns", "exec", netns.name, "ping", "-c1", "-W1", "-Mdo", "-s1432", west, check=False)
    run(*link, "1460")
    assert "mtu = 1300" in refused.stdout, "the router's answer finds its way into the pod"


def logged_denial(cluster: Cluster, netns: Path, target: tuple[str, int]) -> dict[str, Any]:
    """What `netsim vpc log` says while somebody in a namespace tries to connect and cannot."""
    argv = [str(BIN / "netsim"), "vpc", "log", "-o", "json", "--name", cluster.name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as log:
        assert log.stdout is not None
        os.set_blocking(log.stdout.fileno(), False)
        try:
            while not (line := log.stdout.readline()):
                with namespace.entered(netns), socket.socket() as client:
                    client.settimeout(0.3)
                    with pytest.raises(TimeoutError):
                        client.connect(target)
        finally:
            log.terminate()
    return dict(json.loads(line))


def vpc(cluster: Cluster, what: str) -> Any:
    return json.loads(cluster.netsim("vpc", what, "-o", "json").stdout)


def test_the_vpc_is_shown_as_it_is(custom: Cluster) -> None:
    everything = json.loads(custom.netsim("vpc", "-o", "json").stdout)
    assert [(each["name"], each["zones"]) for each in everything["subnets"]] == [
        ("east", ["us-east1-b", "us-east1-c"]),
        ("west", ["us-west1-a"]),
    ]
    assert everything["subnets"][1]["secondaryRanges"] == {"pods": "10.221.0.0/16", "few": "10.222.0.0/28"}
    assert all(route["active"] for route in everything["routes"])
    assert {
        "address": "10.196.0.12",
        "kind": "node",
        "name": "web-2",
        "subnet": "east",
        "podRange": "10.220.2.0/24",
    } in (everything["addresses"])
    text = custom.netsim("vpc").stdout
    assert "no-8081" in text
    assert "implied-deny-ingress" in text
    assert f"{custom.name} " in run(str(BIN / "netsim"), "vpc", "list").stdout


def test_a_range_that_runs_out_of_addresses_is_an_event(custom: Cluster, eventually: Eventually) -> None:
    """13 addresses for 8 pods, of which the rest is taken by pods that nobody knows of any more."""
    held = Path(f"/var/lib/netsim/clusters/{custom.name}/cni/late-1/{custom.name}")
    held.mkdir(parents=True, exist_ok=True)
    taken = [held / f"10.222.0.{number}" for number in range(2, 15)]
    for file in taken:
        file.write_text("nobody\neth0")
    overrides = {"spec": {"nodeName": "late-1", "terminationGracePeriodSeconds": 0}}
    custom.out("run", "crowded", "--image=busybox", f"--overrides={json.dumps(overrides)}")

    def said() -> list[str]:
        found = events(custom, "Pod", "crowded")
        return [event["message"] for event in found if event["reason"] == "FailedCreatePodSandBox"]

    assert "no IP addresses available" in eventually(said)[0]
    for file in taken:
        file.unlink()
    custom.out("wait", "--for=condition=Ready", "pod/crowded", "--timeout=120s")


def test_after_a_reboot_the_network_is_as_it_was(custom: Cluster) -> None:
    before = custom.json("get", "nodes")["items"]
    pid = json.loads(custom.netsim("status", "-o", "json", check=False).stdout)["daemon"]["pid"]
    os.kill(pid, 9)
    for name in (f"{custom.name}-router", f"{custom.name}-web-1", f"{custom.name}-db-1"):
        namespace.delete_namespace(name)
    custom.netsim("up")
    after = {node["metadata"]["name"]: node["spec"].get("podCIDR") for node in custom.json("get", "nodes")["items"]}
    assert after == {node["metadata"]["name"]: node["spec"].get("podCIDR") for node in before}
    assert [rule["packets"] is not None for rule in vpc(custom, "firewall")].count(False) == 0


def test_pods_over_vxlan_with_services_and_names(vxlan: Cluster, eventually: Eventually) -> None:
    one, _ = start_pod(vxlan, "one", "node-1", image="nginx"), start_pod(vxlan, "two", "node-2")
    vxlan.out("expose", "pod", "one", "--port=80")
    bridge = [
        "ip",
        "netns",
        "exec",
        f"{vxlan.name}-router",
        "tcpdump",
        "-lni",
        "br-default",
        "-c",
        "1",
        "udp port 8472",
    ]
    with subprocess.Popen(bridge, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as capture:
        assert capture.stderr is not None
        while "listening on" not in capture.stderr.readline():
            pass
        assert reaches(vxlan, "two", one)
        seen, _ = capture.communicate(timeout=60)
    assert ".8472: OTV" in seen
    eventually(lambda: reaches(vxlan, "two", "one"))
    assert "mtu 1410" in vxlan.out("exec", "two", "--", "ip", "link", "show", "eth0")
    for netns, link, mtu in (("node-1", "eth0", 1460), ("node-1", "cbr0", 1410), ("node-1", "flannel.1", 1410)):
        shown = run("ip", "netns", "exec", f"{vxlan.name}-{netns}", "ip", "link", "show", link).stdout
        assert f"mtu {mtu}" in shown
    assert run("curl", "-s", "-m", "20", f"http://{one}").returncode == 0, "the host reaches pods too"


def test_a_trace_over_vxlan_tells_the_router_twice(vxlan: Cluster) -> None:
    start_pod(vxlan, "behind", "node-1", image="nginx")
    vxlan.out("expose", "pod", "behind", "--port=80", "--type=NodePort")
    port = vxlan.json("get", "service", "behind")["spec"]["ports"][0]["nodePort"]
    told = json.loads(vxlan.netsim("trace", "outside", f"node/node-2:{port}", "-o", "json").stdout)
    assert told["result"] == "delivered", told["reason"]
    plain, carrier = [visit for visit in told["legs"][0]["visits"] if visit["place"] == "router"]
    assert "nat" not in [step["kind"] for step in plain["steps"]], "what carries the packet to node-1 comes later"
    (route,) = [step["text"] for step in carrier["steps"] if step["kind"] == "route"]
    node = vxlan.json("get", "node", "node-1")["status"]["addresses"][0]["address"]
    assert route.startswith(f"{node} from ")


def test_a_node_comes_into_an_overlay_and_leaves_it(vxlan: Cluster) -> None:
    vxlan.netsim("node", "add", "node-3")
    start_pod(vxlan, "three", "node-3", image="nginx")
    start_pod(vxlan, "four", "node-1")
    assert reaches(vxlan, "four", vxlan.json("get", "pod", "three")["status"]["podIP"])
    vxlan.netsim("node", "remove", "node-3")
    assert (
        run("ip", "netns", "exec", f"{vxlan.name}-node-1", "ip", "neigh", "show", "dev", "flannel.1").stdout.count(
            "PERMANENT"
        )
        == 1
    )


def test_regions_are_far_from_each_other(far: Cluster, eventually: Eventually) -> None:
    start_pod(far, "east", "east-1")
    west, other = start_pod(far, "west", "west-1", image="nginx"), start_pod(far, "other", "east-2", image="nginx")
    said = far.out("exec", "east", "--", "ping", "-c3", west)
    assert float(said.rsplit("= ", 1)[1].split("/")[0]) >= 190, "100 ms there and 100 ms back, but for the jitter"
    eventually(lambda: reaches(far, "east", west), within=120)
    assert not reaches(far, "east", other), "between these zones all is lost"


def test_what_the_kernel_cannot_do_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    if features.has_netem():
        pytest.skip("this kernel has netem")
    name, file = cluster_name("netem"), tmp_path / "cluster.yaml"
    path = "{between: [us-central1-a, us-central1-b], delay: 5ms}"
    file.write_text(HEAD + f"spec:\n  network:\n    paths:\n    - {path}\n")
    refused = run(str(BIN / "netsim"), "up", "--name", name, "--config", str(file), check=False)
    assert refused.returncode == 1
    assert f"{file}:6: spec.network.paths[0]: this kernel lacks netem, the module sch_netem" in refused.stderr
    assert not Path(f"/var/lib/netsim/clusters/{name}").exists()
