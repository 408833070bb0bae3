"""Every feature of Services, by the packets of pods and nodes that stand in two zones."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netsim.namespace import entered
from tests.conftest import Eventually
from tests.e2e.conftest import Cluster, cluster_name, run
from tests.e2e.test_dns import namespace_of

TWO_ZONES = """\
apiVersion: netsim.io/v1alpha1
kind: Cluster
spec:
  nodes:
  - {name: a-1, zone: us-central1-a}
  - {name: a-2, zone: us-central1-a}
  - {name: b-1, zone: us-central1-b}
"""
TRIES = 8
SCTP = 132


@pytest.fixture(scope="module")
def zoned(nothing_left_behind: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A web server on each of three nodes, a client on one, and Services made by each test."""
    made = Cluster(cluster_name("svc"))
    file = tmp_path_factory.mktemp("zoned") / "cluster.yaml"
    file.write_text(TWO_ZONES)
    made.netsim("up", "--config", str(file))
    try:
        apply(made, *(pod(f"web-{node}", node, app="web") for node in ("a-1", "a-2", "b-1")), pod("client", "a-1"))
        made.out("wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s")
        yield made
    finally:
        made.netsim("down")


def pod(name: str, node: str, **spec: Any) -> dict[str, Any]:
    """A pod of the stand-in server on port 8080, labelled by `app`."""
    labels = {"app": spec.pop("app", name)}
    container = {"name": "main", "image": "web", "ports": [{"containerPort": 8080}], **spec.pop("container", {})}
    fields = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": fields}


def service(name: str, app: str | None = "web", **spec: Any) -> dict[str, Any]:
    if app is not None:
        spec["selector"] = {"app": app}
    fields = {"ports": [{"port": 80, "targetPort": 8080}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": fields}


def apply(cluster: Cluster, *objects: dict[str, Any]) -> None:
    cluster.out("apply", "-f", "-", stdin="\n---\n".join(json.dumps(obj) for obj in objects))


def get(cluster: Cluster, target: str, *, netns: Path | None = None, port: int = 80) -> dict[str, str]:
    """What the server behind an address says of itself and its client; asked in a namespace, else by the client pod."""
    netns = netns or namespace_of(cluster, "default", "client")
    argv = ["nsenter", f"--net={netns}", "curl", "-sS", "--max-time", "5", f"http://{target}:{port}/"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        return {"error": done.stderr.strip()}
    return dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)


def address(cluster: Cluster, name: str) -> str:
    return str(cluster.json("get", "service", name)["spec"]["clusterIP"])


def nodes_met(cluster: Cluster, target: str, **where: Any) -> set[str]:
    return {get(cluster, target, **where).get("node", "nobody") for _ in range(TRIES)}


def node(cluster: Cluster, name: str) -> Path:
    return Path(f"/run/netns/{cluster.name}-{name}")


@pytest.mark.parametrize(
    ("distribution", "met", "without_own"),
    [
        ("PreferSameNode", {"a-1"}, {"a-2"}),
        ("PreferSameZone", {"a-1", "a-2"}, {"a-2"}),
        ("PreferClose", {"a-1", "a-2"}, {"a-2"}),
    ],
)
def test_traffic_stays_near(
    zoned: Cluster, eventually: Eventually, distribution: str, met: set[str], without_own: set[str]
) -> None:
    name = distribution.lower()
    apply(zoned, service(name, trafficDistribution=distribution))
    target = address(zoned, name)
    eventually(lambda: nodes_met(zoned, target) == met, within=30)
    zoned.out("label", "pod", "web-a-1", "app=none", "--overwrite")
    try:
        eventually(lambda: nodes_met(zoned, target) == without_own, within=30)
    finally:
        zoned.out("label", "pod", "web-a-1", "app=web", "--overwrite")


def test_internal_policy_local_meets_the_own_node_only(zoned: Cluster, eventually: Eventually) -> None:
    apply(zoned, service("own", internalTrafficPolicy="Local"))
    target = address(zoned, "own")
    eventually(lambda: nodes_met(zoned, target) == {"a-1"}, within=30)
    zoned.out("label", "pod", "web-a-1", "app=none", "--overwrite")
    try:
        eventually(lambda: "timed out" in get(zoned, target).get("error", ""), within=30, message="packets are dropped")
    finally:
        zoned.out("label", "pod", "web-a-1", "app=web", "--overwrite")


def test_external_policy_local_and_its_health_check(zoned: Cluster, eventually: Eventually) -> None:
    apply(zoned, pod("lone", "b-1"), service("lone", "lone", type="LoadBalancer", externalTrafficPolicy="Local"))
    zoned.out("wait", "--for=condition=Ready", "pod/lone", "--timeout=120s")
    spec = zoned.json("get", "service", "lone")["spec"]
    nodes = zoned.json("get", "nodes")["items"]
    addresses = {one["metadata"]["name"]: one["status"]["addresses"][0]["address"] for one in nodes}
    port, client = spec["ports"][0]["nodePort"], node(zoned, "a-1")
    eventually(lambda: get(zoned, addresses["b-1"], netns=client, port=port).get("pod") == "lone")
    assert get(zoned, addresses["b-1"], netns=client, port=port)["client"].split(":")[0] == addresses["a-1"]
    eventually(lambda: "timed out" in get(zoned, addresses["a-2"], netns=client, port=port).get("error", ""))

    def health(name: str) -> tuple[int, int]:
        """HTTP status and endpoints of a node's health-check port."""
        url = f"http://{addresses[name]}:{spec['healthCheckNodePort']}/healthz"
        body, status = run("curl", "-sS", "-w", "\n%{http_code}", url).stdout.rsplit("\n", 1)
        return int(status), json.loads(body)["localEndpoints"]

    assert [health("a-1"), health("b-1")] == [(503, 0), (200, 1)]
    zoned.out("delete", "pod", "lone", "--wait=false")
    eventually(lambda: health("b-1") == (503, 0), within=30)


def test_source_ranges_let_only_those_in(zoned: Cluster, eventually: Eventually) -> None:
    pods = zoned.json("get", "pod", "client")["status"]["podIP"]
    apply(zoned, service("ranges", type="LoadBalancer", loadBalancerSourceRanges=[f"{pods}/32"]))
    ingress = zoned.json("get", "service", "ranges")["status"]["loadBalancer"]["ingress"][0]["ip"]
    eventually(lambda: "node" in get(zoned, ingress), within=30)
    eventually(lambda: "timed out" in get(zoned, ingress, netns=node(zoned, "b-1")).get("error", ""))


def test_external_addresses_and_session_affinity(zoned: Cluster, eventually: Eventually) -> None:
    sticky = {"clientIP": {"timeoutSeconds": 3}}
    apply(
        zoned,
        service("outer", externalIPs=["198.51.100.7"], sessionAffinity="ClientIP", sessionAffinityConfig=sticky),
    )
    eventually(lambda: "node" in get(zoned, "198.51.100.7"), within=30)
    (first,) = nodes_met(zoned, "198.51.100.7")

    def forgotten() -> bool:
        """The client is led elsewhere after a pause longer than its affinity, by a chance of two thirds."""
        time.sleep(3.1)
        return get(zoned, "198.51.100.7")["node"] != first

    eventually(forgotten, within=90)


def test_without_endpoints_a_connection_is_refused_at_once(zoned: Cluster, eventually: Eventually) -> None:
    apply(zoned, service("nobody", "nobody"))
    target = address(zoned, "nobody")
    eventually(lambda: "Couldn't connect" in get(zoned, target).get("error", ""), within=30)


def test_endpoints_by_hand(zoned: Cluster, eventually: Eventually) -> None:
    web = zoned.json("get", "pod", "web-b-1")["status"]["podIP"]
    head = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "byhand"}}
    apply(
        zoned,
        service("byhand", None),
        {**head, "subsets": [{"addresses": [{"ip": web}], "ports": [{"port": 8080}]}]},
        service("byslice", None),
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "byslice-1", "labels": {"kubernetes.io/service-name": "byslice"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [web]}],
            "ports": [{"port": 8080}],
        },
    )
    targets = [address(zoned, name) for name in ("byhand", "byslice")]
    eventually(lambda: [get(zoned, target).get("pod") for target in targets] == ["web-b-1"] * 2, within=30)


def test_pods_that_are_not_ready_are_met_where_asked_for(zoned: Cluster, eventually: Eventually) -> None:
    never = {"readinessProbe": {"exec": {"command": ["false"]}}}
    apply(
        zoned,
        pod("sick", "a-2", container=never),
        service("sick", "sick"),
        service("published", "sick", publishNotReadyAddresses=True),
    )
    eventually(lambda: get(zoned, address(zoned, "published")).get("pod") == "sick", within=30)
    assert "Couldn't connect" in get(zoned, address(zoned, "sick")).get("error", "")


def test_the_last_pod_serves_while_it_ends(zoned: Cluster, eventually: Eventually) -> None:
    waits = {"lifecycle": {"preStop": {"sleep": {"seconds": 12}}}}
    apply(
        zoned,
        pod("last", "b-1", container=waits, terminationGracePeriodSeconds=20),
        service("last", "last"),
    )
    target = address(zoned, "last")
    eventually(lambda: get(zoned, target).get("pod") == "last", within=30)
    zoned.out("delete", "pod", "last", "--wait=false")
    eventually(
        lambda: zoned.json("get", "pod", "last")["metadata"].get("deletionTimestamp"), within=30, message="it is ending"
    )
    assert get(zoned, target)["pod"] == "last"
    eventually(lambda: "Couldn't connect" in get(zoned, target).get("error", ""), within=60)


def test_a_pod_meets_itself_and_pods_of_the_nodes_network(zoned: Cluster, eventually: Eventually) -> None:
    apply(
        zoned,
        service("self", "self"),
        pod("self", "a-2"),
        service("hosted", "hosted", ports=[{"port": 80, "targetPort": 9090}]),
        pod("hosted", "b-1", container={"ports": [{"containerPort": 9090}]}, hostNetwork=True),
    )
    zoned.out("wait", "--for=condition=Ready", "pod/self", "pod/hosted", "--timeout=120s")
    itself = namespace_of(zoned, "default", "self")
    eventually(lambda: get(zoned, address(zoned, "self"), netns=itself).get("pod") == "self", within=30)
    # As on any node: what comes back to its sender is masqueraded, so it seems to come from the bridge.
    gateway = get(zoned, address(zoned, "self"), netns=itself)["client"]
    assert gateway.split(":")[0].endswith(".1")
    assert get(zoned, address(zoned, "hosted"))["node"] == "b-1"


def test_sctp_is_translated(zoned: Cluster, eventually: Eventually) -> None:
    """By a crafted INIT: where the kernel has no SCTP sockets, its connection tracking knows the protocol still."""
    apply(zoned, service("sctp", ports=[{"port": 3868, "targetPort": 8080, "protocol": "SCTP"}]))
    target = address(zoned, "sctp")
    client = node(zoned, "a-1")
    servers = {one["status"]["podIP"] for one in zoned.json("get", "pods", "-l", "app=web")["items"]}
    with entered(namespace_of(zoned, "default", "client")):
        sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, SCTP)

    def translated() -> bool:
        sender.sendto(init(40_000, 3868), (target, 0))
        listing = run("nsenter", f"--net={client}", "conntrack", "-L", "-p", "sctp").stdout
        return any(f"src={server} " in listing.split(f"dst={target}", 1)[-1] for server in servers)

    with sender:
        eventually(translated, within=30)


def init(source: int, destination: int) -> bytes:
    """An SCTP packet with an INIT chunk; RFC 9260, sections 3.1 and 3.3.2."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 0x1234, 65_535, 5, 5, 1)
    head = struct.pack("!HHI", source, destination, 0)
    return head + struct.pack("<I", crc32c(head + bytes(4) + chunk)) + chunk


def crc32c(data: bytes) -> int:
    """The checksum of SCTP."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF
