"""Faults on a whole cluster: what each type breaks for real packets and processes, and that it heals."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from netsim.probe.features import has_netem
from tests.conftest import Eventually
from tests.e2e.conftest import Cluster, cluster_name, run

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {role: asks}}
spec:
  nodeName: node-1
  containers: [{name: main, image: busybox, command: [sleep, "10000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: beside, labels: {role: serves}}
spec:
  nodeName: node-1
  containers: [{name: main, image: nginx, ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {role: serves, app: web}}
spec:
  nodeName: node-2
  containers: [{name: main, image: nginx, ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


@pytest.fixture(scope="module")
def broken() -> Iterator[Cluster]:
    """A cluster of its own: things are broken on purpose."""
    cluster = Cluster(cluster_name("faults"))
    cluster.netsim("up", "--nodes", "2")
    try:
        cluster.out("apply", "-f", "-", stdin=MANIFEST)
        cluster.out("wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s")
        yield cluster
    finally:
        cluster.netsim("down")


Add = Callable[..., Any]


@pytest.fixture
def add(broken: Cluster) -> Iterator[Add]:
    """`netsim fault add …`; at the end all is healed, and nothing of a fault is in the kernel."""

    def added(*arguments: str) -> Any:
        return json.loads(broken.netsim("fault", "add", *arguments, "-o", "json").stdout)

    yield added
    broken.netsim("fault", "heal", "--all")
    assert "netsim-fault" not in _tables(broken, "node-1") + _tables(broken, "node-2")
    assert list(Path(f"/run/netsim/{broken.name}/faults").glob("*")) == []


def _tables(cluster: Cluster, node: str) -> str:
    return run("ip", "netns", "exec", f"{cluster.name}-{node}", "nft", "list", "tables").stdout


def _ip(cluster: Cluster, pod: str) -> str:
    return str(cluster.json("get", "pod", pod)["status"]["podIP"])


def _fetches(cluster: Cluster, url: str, pod: str = "client") -> bool:
    argv = ["exec", pod, "--", "timeout", "0.6", "wget", "-qO-", "-T1", url]
    return cluster.kubectl(*argv, check=False).returncode == 0


def _phase(cluster: Cluster, fault: str) -> Any:
    return cluster.json("get", "fault", fault)["status"]["phase"]


@contextmanager
def _applied(cluster: Cluster, name: str, spec: str) -> Iterator[None]:
    manifest = f"{{apiVersion: netsim.io/v1alpha1, kind: Fault, metadata: {{name: {name}}}, spec: {spec}}}"
    cluster.out("apply", "-f", "-", stdin=manifest)
    try:
        yield
    finally:
        cluster.out("delete", "fault", name, "--ignore-not-found")


def test_a_partition_cuts_what_it_names_by_service_and_address(broken: Cluster, add: Add) -> None:
    service = broken.json("get", "service", "web")["spec"]["clusterIP"]
    assert _fetches(broken, f"http://{service}/")
    made = add("partition", "pod/client", "service/web", "--as", "cut.one")
    assert made["status"]["places"] == ["pod/client", "pod/web"]
    assert not _fetches(broken, f"http://{service}/")
    assert not _fetches(broken, f"http://{_ip(broken, 'web')}/")
    assert _fetches(broken, f"http://{_ip(broken, 'beside')}/")
    told = json.loads(broken.netsim("trace", "pod/client", "service/web:80", "--timeout", "0.3", "-o", "json").stdout)
    assert (told["result"], told["reason"], told["where"]) == (
        "partition",
        "fault cut.one (partition) drops it",
        "node/node-1",
    )
    reached = broken.netsim("reach", "--from", "pod/client", "--to", "service/web", "-o", "json", check=False)
    (cell,) = json.loads(reached.stdout)
    assert (cell["result"], cell["reason"]) == ("fault", "fault cut.one (partition) drops it, at node/node-1")
    rows = broken.netsim("fault", "list").stdout
    assert "cut.one" in rows
    assert "partition at pod/client, pod/web" in rows
    assert "healed" in broken.netsim("fault", "heal", "cut.one").stdout
    assert _fetches(broken, f"http://{service}/")


def test_pods_of_one_node_are_cut_off_each_other_too(broken: Cluster, add: Add) -> None:
    add("partition", "pod/client", "pod/beside")
    assert not _fetches(broken, f"http://{_ip(broken, 'beside')}/")
    assert _fetches(broken, f"http://{_ip(broken, 'web')}/")


def test_a_fault_follows_its_selector_and_heals_itself(broken: Cluster, add: Add, eventually: Eventually) -> None:
    spec = "{type: partition, from: {pods: [client]}, to: {podSelector: {matchLabels: {cut: 'yes'}}}, duration: 8s}"
    url = f"http://{_ip(broken, 'beside')}/"
    with _applied(broken, "follows", spec):
        condition = eventually(lambda: broken.json("get", "fault", "follows")["status"]["conditions"][0])
        assert condition["reason"] == "NothingSelected"
        broken.out("label", "pod", "beside", "cut=yes")
        eventually(lambda: not _fetches(broken, url))
        eventually(lambda: _phase(broken, "follows") == "Healed")
        assert _fetches(broken, url)
        broken.out("label", "pod", "beside", "cut-")
        eventually(
            lambda: (
                {"Injected", "Healed"}
                <= {
                    event["reason"]
                    for event in broken.json("get", "events")["items"]
                    if event["involvedObject"]["name"] == "follows"
                }
            )
        )


def test_it_begins_later_and_shows_in_kubectl(broken: Cluster, add: Add, eventually: Eventually) -> None:
    with _applied(broken, "later", "{type: mtu, target: {pods: [web]}, mtu: 600, start: 1s}"):
        eventually(lambda: _phase(broken, "later") == "Pending")
        assert "1460" in _link(broken, "web")
        eventually(lambda: "mtu 600" in _link(broken, "web"))
        assert broken.out("get", "faults", "--no-headers").split()[:3] == ["later", "mtu", "Active"]
        broken.out("patch", "fault", "later", "--type=merge", "-p", '{"spec": {"mtu": 700}}')
        eventually(lambda: "mtu 700" in _link(broken, "web"))
    assert "mtu 1460" in _link(broken, "web")
    assert "netsim.io" in broken.out("explain", "fault.spec.from")


def _link(cluster: Cluster, pod: str) -> str:
    return cluster.out("exec", pod, "--", "ip", "link", "show", "eth0")


def test_the_daemon_dies_and_the_fault_goes_on(broken: Cluster, add: Add, eventually: Eventually) -> None:
    url = f"http://{_ip(broken, 'web')}/"
    add("partition", "pod/client", "pod/web", "--as", "stays", "--duration", "15s")
    os.kill(broken.status()["daemon"]["pid"], signal.SIGKILL)
    broken.netsim("up")
    assert _phase(broken, "stays") == "Active"
    assert not _fetches(broken, url)
    eventually(lambda: _phase(broken, "stays") == "Healed")
    assert _fetches(broken, url)


def test_a_rate(broken: Cluster, add: Add) -> None:
    add("rate", "pod/client", "pod/web", "--rate", "1Mbit", "--as", "slow")
    web = broken.name + "-node-2"
    classes = [run("ip", "netns", "exec", web, "tc", "class", "show", "dev", each).stdout for each in _ports(web)]
    assert "rate 1Mbit" in "".join(classes)
    add("rate", "pod/client", "--rate", "2Mbit", "--as", "slower")
    broken.netsim("fault", "heal", "slow")
    classes = [run("ip", "netns", "exec", web, "tc", "class", "show", "dev", each).stdout for each in _ports(web)]
    assert "".join(classes) == ""
    name = broken.name + "-node-1"
    assert any(
        "2Mbit" in run("ip", "netns", "exec", name, "tc", "class", "show", "dev", p).stdout for p in _ports(name)
    )


def _ports(netns: str) -> list[str]:
    links = json.loads(run("ip", "-n", netns, "-j", "link", "show", "type", "veth").stdout)
    return [each["ifname"] for each in links]


def test_a_delay_or_the_name_of_what_lacks(broken: Cluster, add: Add) -> None:
    if has_netem():
        add("delay", "pod/client", "--delay", "200ms")
        said = broken.out("exec", "client", "--", "ping", "-c1", _ip(broken, "web"))
        assert float(said.rsplit("= ", 1)[1].split("/")[0]) >= 190
        return
    refused = broken.netsim("fault", "add", "delay", "pod/client", "--delay", "200ms", check=False)
    assert refused.returncode == 1
    assert "sch_netem" in refused.stderr
    with _applied(broken, "late", "{type: loss, loss: 5%, target: {pods: [client]}}"):
        broken.out("wait", "--for=jsonpath={.status.phase}=Failed", "fault/late", "--timeout=120s")
        condition = broken.json("get", "fault", "late")["status"]["conditions"][0]
        assert (condition["reason"], "sch_netem" in condition["message"]) == ("KernelLacks", True)


def test_delay_jitter_and_loss_by_a_manifest(broken: Cluster) -> None:
    if not has_netem():
        pytest.skip("the kernel has no netem; `make test-vm` has one that does")
    active = ("wait", "--for=jsonpath={.status.phase}=Active", "--timeout=120s")
    with _applied(broken, "late", "{type: delay, delay: 200ms, jitter: 50ms, target: {pods: [client]}}"):
        broken.out(*active, "fault/late")
        _, shortest = _pinged(broken, "web", 3)
        assert shortest >= 149
    assert "netem" not in _queues(broken, "client")
    with _applied(broken, "lost", "{type: loss, loss: 100%, from: {pods: [client]}, to: {pods: [beside]}}"):
        broken.out(*active, "fault/lost")
        assert _pinged(broken, "beside", 2)[0] == 0
        assert _pinged(broken, "web", 2)[0] == 2
        broken.out("patch", "fault", "lost", "--type=merge", "-p", '{"spec": {"loss": "50%"}}')
        broken.out("wait", "--for=jsonpath={.status.observedGeneration}=2", "fault/lost", "--timeout=120s")
        assert 0 < _pinged(broken, "beside", 40)[0] < 40
    assert _pinged(broken, "beside", 5)[0] == 5


def _queues(cluster: Cluster, pod: str) -> str:
    (netns,) = Path("/run/netns").glob(f"{cluster.name}-default-{pod}-*")
    return run("ip", "netns", "exec", netns.name, "tc", "qdisc", "show").stdout


def _pinged(cluster: Cluster, pod: str, count: int) -> tuple[int, float]:
    """How many of so many echoes from the client come back, and the shortest way in ms."""
    argv = ["exec", "client", "--", "ping", f"-c{count}", "-i0.2", "-W5", _ip(cluster, pod)]
    said = cluster.kubectl(*argv, check=False).stdout
    received = int(said.split(" received")[0].split()[-1])
    return received, float(said.rsplit("= ", 1)[1].split("/")[0]) if received else 0.0


def test_a_flapping_link(broken: Cluster, add: Add, eventually: Eventually) -> None:
    add("flap", "pod/web", "--period", "600ms")
    carrier = "/sys/class/net/eth0/carrier"
    seen = set()
    deadline = time.monotonic() + 60
    while seen != {"0", "1"} and time.monotonic() < deadline:
        seen.add(broken.out("exec", "web", "--", "cat", carrier).strip())
    assert seen == {"0", "1"}
    broken.netsim("fault", "heal", "--all")
    eventually(lambda: _fetches(broken, f"http://{_ip(broken, 'web')}/"))


def test_names_that_nobody_answers_for(broken: Cluster, add: Add) -> None:
    asked = ["exec", "client", "--", "timeout", "1", "nslookup"]
    add("dns-failure", "pod/client", "--dns-name", "web.default")
    assert broken.kubectl(*asked, "web.default.svc.cluster.local", check=False).returncode != 0
    assert broken.kubectl(*asked, "kubernetes.default.svc.cluster.local", check=False).returncode == 0
    broken.netsim("fault", "heal", "--all")
    assert broken.kubectl(*asked, "web.default.svc.cluster.local", check=False).returncode == 0


def test_processes_stand_still_and_are_killed(broken: Cluster, add: Add, eventually: Eventually) -> None:
    url = f"http://{_ip(broken, 'beside')}/"
    add("process-pause", "role=serves,app!=web", "--duration", "8s", "--as", "still")
    assert not _fetches(broken, url)
    told = json.loads(broken.netsim("trace", "pod/client", "pod/web:80", "-o", "json").stdout)
    assert told["result"] == "delivered"
    eventually(lambda: _phase(broken, "still") == "Healed")
    assert _fetches(broken, url)
    with _applied(broken, "nobody", "{type: processPause, target: {pods: [beside]}, containers: [none]}"):
        told = eventually(lambda: broken.json("get", "fault", "nobody")["status"]["conditions"][0])
        assert told["reason"] == "NothingSelected"
    made = add("process-kill", "pod/beside", "--container", "main", "--as", "killed")
    assert made["status"]["phase"] == "Healed"
    eventually(lambda: broken.json("get", "pod", "beside")["status"]["containerStatuses"][0]["restartCount"] == 1)
    eventually(lambda: _fetches(broken, url), within=30)
    broken.out("annotate", "fault", "killed", "touched=yes")
    assert broken.json("get", "pod", "beside")["status"]["containerStatuses"][0]["restartCount"] == 1


def test_a_route_and_a_rule_that_are_removed(broken: Cluster, add: Add, eventually: Eventually) -> None:
    address = _ip(broken, "web")
    remote = broken.json("get", "node", "node-2")["spec"]["podCIDR"]
    made = add("route-removed", "router", "--route", remote)
    assert made["status"]["places"] == ["router"]
    told = broken.netsim("trace", "pod/client", "pod/web:80", "--timeout", "0.3", check=False).stdout
    assert f"fault {made['metadata']['name']} (routeRemoved) is active at router" in told
    assert not _fetches(broken, f"http://{address}/")
    broken.netsim("fault", "heal", "--all")
    assert _fetches(broken, f"http://{address}/")

    service = broken.json("get", "service", "web")["spec"]["clusterIP"]
    netns = f"{broken.name}-node-1"
    saved = run("ip", "netns", "exec", netns, "iptables-nft-save", "-t", "nat").stdout.splitlines()
    rule = next(line for line in saved if line.startswith("-A KUBE-SERVICES") and service in line)
    add("rule-removed", "node/node-1", "--rule", rule)
    assert not _fetches(broken, f"http://{service}/")
    broken.netsim("fault", "heal", "--all")
    assert _fetches(broken, f"http://{service}/")
    after = run("ip", "netns", "exec", netns, "iptables-nft-save", "-t", "nat").stdout.splitlines()
    assert [line for line in after if line.startswith("-A")] == [line for line in saved if line.startswith("-A")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["partition", "pod/none"], "there is no pod none"),
        (["nodeCrash", "pod/web"], "nodeCrash is for nodes"),
        (["mtu", "pod/web", "pod/client", "--mtu", "600"], "mtu takes one place"),
        (["route-removed", "router", "--route", "10.99.0.0/16"], "there is no route to 10.99.0.0/16"),
        (
            ["partition", "pod/web", "--duration", "soon"],
            "duration: 'soon' is no number with a unit, as 100ms, 5s or 2m",
        ),
        (["dns-failure", "pod/web", "--dns-name", "a..b"], "no name that DNS"),
        (["process-kill", "pod/web", "--container", "none"], "no container none of what is selected runs"),
    ],
)
def test_what_is_wrong_is_said(broken: Cluster, add: Add, arguments: list[str], said: str) -> None:
    refused = broken.netsim("fault", "add", *arguments, check=False)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert broken.json("get", "faults")["items"] == []


def test_a_node_freezes_and_goes_on(broken: Cluster, add: Add, eventually: Eventually) -> None:
    """Last but one: its pods have been through something."""
    url = f"http://{_ip(broken, 'web')}/"
    add("node-freeze", "node/node-2", "--as", "frozen")
    assert not _fetches(broken, url)
    before = broken.json("get", "-n", "kube-node-lease", "lease", "node-2")["spec"]["renewTime"]
    assert broken.kubectl("exec", "web", "--", "true", check=False, timeout=20).returncode != 0
    broken.netsim("fault", "heal", "frozen")
    eventually(lambda: _fetches(broken, url))
    eventually(lambda: broken.json("get", "-n", "kube-node-lease", "lease", "node-2")["spec"]["renewTime"] > before)


def test_a_node_crashes_and_comes_back(broken: Cluster, add: Add, eventually: Eventually) -> None:
    address = _ip(broken, "web")
    add("node-crash", "node/node-2", "--as", "crash")
    told = json.loads(broken.netsim("trace", "pod/client", address, "--timeout", "0.3", "-o", "json").stdout)
    assert told["reason"].endswith("node/node-2, where it was to go, is crashed")
    broken.out("patch", "fault", "crash", "--type=merge", "-p", '{"spec": {"duration": "1s"}}')
    eventually(lambda: _phase(broken, "crash") == "Healed")
    eventually(
        lambda: [n["state"] for n in json.loads(broken.netsim("node", "list", "-o", "json").stdout)] == ["running"] * 2
    )
