"""`netsim capture` on a cluster: names in, names out, and files that tshark reads."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import BIN, Cluster, cluster_name, run

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="there is no tshark here")


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Iterator[str]:
    """A namespace with a client and a Service before two pods, on different nodes."""
    name = "capture"
    nodes = [node["metadata"]["name"] for node in cluster.json("get", "nodes")["items"]]
    cluster.out("create", "namespace", name)
    cluster.out("-n", name, "apply", "-f", "-", stdin=MANIFEST.format(one=nodes[0], two=nodes[1]))
    cluster.out("-n", name, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=30s")
    yield name
    cluster.out("delete", "namespace", name, "--wait=false")


MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {{name: client}}
spec:
  nodeName: {one}
  terminationGracePeriodSeconds: 0
  containers: [{{name: main, image: busybox, command: [sleep, "1000"]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  nodeName: {two}
  terminationGracePeriodSeconds: 0
  containers: [{{name: main, image: nginx, ports: [{{containerPort: 80}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 8080, targetPort: 80}}]}}
"""


class Running:
    """A capture in the foreground; it has begun when it says where."""

    def __init__(self, cluster: Cluster, *arguments: str) -> None:
        argv = [str(BIN / "netsim"), "capture", *arguments, "--name", cluster.name]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        self.where = self._process.stderr.readline()
        assert self.where.startswith("capturing at"), self.where + self._process.stderr.read()

    def stop(self, number: int = signal.SIGINT) -> str:
        """What it printed; what it said at its end is `said`."""
        self._process.send_signal(number)
        out, self.said = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, self.said
        return out


def ask(cluster: Cluster, shop: str) -> None:
    assert "web" in cluster.out("-n", shop, "exec", "client", "--", "wget", "-qO-", "-T", "5", "http://web:8080/")


def read_back(file: Path, *fields: str) -> list[list[str]]:
    options = ["-N", "n", "-o", "tcp.check_checksum:TRUE", "-T", "fields"]
    wanted = [word for field in fields for word in ("-e", field)]
    return [line.split("\t") for line in run("tshark", "-r", str(file), *options, *wanted).stdout.splitlines()]


def test_every_place_on_the_way_of_a_packet(cluster: Cluster, shop: str, tmp_path: Path) -> None:
    file = tmp_path / "way.pcapng"
    capture = Running(cluster, "pod/client", "service/web", "-n", shop, "--point", "all", "-w", str(file))
    ask(cluster, shop)
    capture.stop(signal.SIGTERM)
    assert "0 dropped" in capture.said
    rows = read_back(file, "frame.interface_name", "ip.src_host", "ip.dst_host", "tcp.flags.syn", "tcp.flags.ack")
    first = [row for row in rows if row[3:] in (["1", "0"], ["True", "False"])]
    assert [row[0].split("/")[-2] if row[0].startswith(shop) else row[0].split("/")[0] for row in first] == [
        "pod",
        "veth",
        "bridge",
        "node",
        "router",
        "router",
        "node",
        "bridge",
        "veth",
        "pod",
    ]
    assert {row[2] for row in first[:2]} == {f"{shop}/service/web"}
    assert {row[2] for row in first[3:]} == {f"{shop}/pod/web"}
    checks = read_back(file, "tcp.checksum.status")
    assert {row[0] for row in checks} - {""} == {"1"}, "of what is TCP, every checksum is right"


def test_the_pods_of_a_node_and_a_filter_that_is_wrong(cluster: Cluster, shop: str, tmp_path: Path) -> None:
    file = tmp_path / "node.pcapng"
    node = cluster.json("-n", shop, "get", "pod", "web")["spec"]["nodeName"]
    options = ["--point", "veth", "-n", shop, "--filter", "src host pod/client and tcp", "-w", str(file)]
    capture = Running(cluster, f"node/{node}", *options)
    ask(cluster, shop)
    capture.stop()
    rows = read_back(file, "frame.interface_name", "ip.src_host")
    assert [f"{shop}/veth/web", f"{shop}/pod/client"] in rows
    assert {row[0].split("/")[-2] for row in rows} == {"veth"}
    refused = cluster.netsim("capture", "pod/web", "-n", shop, "--filter", "tcp and and", "-w", str(file), check=False)
    assert "syntax error" in refused.stderr
    assert read_back(file, "frame.interface_name", "ip.src_host") == rows, "nothing is lost to a slip of the pen"


def test_live_lines_pair_the_halves_of_a_translation(cluster: Cluster, shop: str, eventually: Eventually) -> None:
    options = ["--filter", "tcp and (host service/web or host pod/web)", "-o", "json", "-n", shop]
    capture = Running(cluster, "pod/client", "pod/web", *options)
    ask(cluster, shop)
    packets = [json.loads(line) for line in capture.stop().splitlines()]
    assert {packet["flow"] for packet in packets} == {1}
    outgoing = next(packet for packet in packets if packet["point"] == f"{shop}/pod/client")
    assert outgoing["destinationName"] == f"{shop}/service/web"
    assert outgoing["destinationPort"] == 8080
    arriving = next(packet for packet in packets if packet["point"] == f"{shop}/pod/web")
    assert arriving["destinationName"] == f"{shop}/pod/web"
    assert arriving["translations"][0]["destinationName"] == f"{shop}/service/web"


def test_a_pipe_gets_nothing_but_packets(cluster: Cluster, shop: str) -> None:
    inside = f"{BIN}/netsim capture pod/client -n {shop} --name {cluster.name} --filter icmp --count 2 -w -"
    piped = subprocess.Popen(
        ["sh", "-c", f"{inside} | tshark -r - -T fields -e icmp.type"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert piped.stderr is not None
    while "capturing at" not in piped.stderr.readline():
        assert piped.poll() is None
    address = cluster.json("-n", shop, "get", "pod", "web")["status"]["podIP"]
    cluster.out("-n", shop, "exec", "client", "--", "ping", "-c", "1", "-W", "5", address)
    out, _said = piped.communicate(timeout=60)
    assert out.split() == ["8", "0"]


def test_captures_in_the_background(cluster: Cluster, shop: str, tmp_path: Path) -> None:
    file = tmp_path / "background.pcapng"
    started = cluster.netsim("capture", "pod/web", "-n", shop, "--filter", "tcp", "-w", str(file), "--detach")
    assert "capture 1 runs at 1 point" in started.stdout
    again = cluster.netsim("capture", "pod/client", "-n", shop, "-w", str(file), "--duration", "1", check=False)
    assert f"another capture writes to {file}" in again.stderr
    ask(cluster, shop)
    (listed,) = json.loads(cluster.netsim("capture", "list", "-o", "json").stdout)
    assert (listed["running"], listed["points"]) == (True, [f"{shop}/pod/web"])
    stopped = cluster.netsim("capture", "stop", "1").stdout
    assert f"packets in {file}, 0 dropped" in stopped
    assert not stopped.startswith("capture 1: 0 packets")
    assert len(read_back(file, "tcp.port")) == int(stopped.split()[2])
    assert "no capture" in cluster.netsim("capture", "list").stdout
    assert "there is no capture 1" in cluster.netsim("capture", "stop", "1", check=False).stderr


def command_line(pid: int) -> str:
    """Of a process; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


def test_the_cluster_takes_its_captures_with_it(tmp_path: Path) -> None:
    alone = Cluster(cluster_name("captured"))
    alone.netsim("up", "--nodes", "1")
    try:
        started = alone.netsim("capture", "node/node-1", "-w", str(tmp_path / "file.pcapng"), "--detach")
        (listed,) = json.loads(alone.netsim("capture", "list", "-o", "json").stdout)
        assert "runs" in started.stdout
        assert "writer" in command_line(listed["pid"])
    finally:
        alone.netsim("down")
    assert "writer" not in command_line(listed["pid"])
    read_back(tmp_path / "file.pcapng", "frame.number")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "is no place"),
        (["pod/none"], "there is no pod none in namespace default"),
        (["node/none"], "there is no node none; there is: node-1"),
        (["thing/none"], "is no kind that has a place"),
        (["node/node-1", "--filter", "tcp and and"], "syntax error"),
        (["node/node-1", "--filter", "host pod/none"], "there is no pod none"),
        (["node/node-1", "--detach"], "needs a file"),
        (["node/node-1", "-w", "/no/such/file"], "cannot write /no/such/file"),
        (["node/node-1", "-w", "/dev/full", "--duration", "1"], "No space left on device"),
    ],
)
def test_what_is_wrong_is_said_in_the_users_words(cluster: Cluster, arguments: list[str], said: str) -> None:
    refused = cluster.netsim("capture", *arguments, check=False)
    assert refused.returncode != 0
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
