"""Crafted packets at a pod: SYNs, fragments, ARP, DNS, a handshake by hand; what VXLAN carries, in a trace too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster, cluster_name
from workbench.testing import Cluster as Handle
from workbench.testing import Pod

CONFIG = """
apiVersion: netsim.io/v1alpha1
kind: Cluster
spec: {nodes: 2, network: {podNetwork: vxlan}}
"""

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  nodeName: node-1
  containers: [{name: main, image: busybox, command: [sleep, "10000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  nodeName: node-2
  containers: [{name: main, image: nginx, ports: [{containerPort: 80}]}]
"""


@pytest.fixture(scope="module")
def handle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    cluster = Cluster(cluster_name("crafted"))
    config = tmp_path_factory.mktemp("crafted") / "cluster.yaml"
    config.write_text(CONFIG)
    cluster.netsim("up", "--config", str(config))
    try:
        made = Handle(cluster.name)
        made.apply(PODS)
        made.wait()
        yield made
    finally:
        cluster.netsim("down")


@pytest.fixture
def client(handle: Handle) -> Pod:
    return handle.pod("client")


@pytest.fixture
def web(handle: Handle) -> Pod:
    return handle.pod("web")


def test_an_echo_and_a_syn(client: Pod, web: Pod) -> None:
    echo = client.sr1(IP(dst=web.address) / ICMP(seq=7))
    assert echo is not None
    assert (echo[IP].src, echo[ICMP].type, echo[ICMP].seq) == (web.address, 0, 7)
    answers = [client.sr1(IP(dst=web.address) / TCP(dport=port, flags="S")) for port in (80, 81)]
    assert [str(answer[TCP].flags) for answer in answers if answer] == ["SA", "RA"]


def test_the_gateway_answers_arp(client: Pod) -> None:
    gateway = client.address.rsplit(".", 1)[0] + ".1"
    answer = client.sr1(ARP(pdst=gateway))
    assert answer is not None
    assert answer[ARP].op == 2
    assert answer[ARP].hwsrc.startswith("0a:58:")


def test_what_comes_while_nobody_reads_is_kept(client: Pod, web: Pod) -> None:
    """More than the buffer that a socket has by itself; the time to listen begins when all was sent."""
    packet = IP(src=client.address, dst=web.address) / UDP(dport=9) / Raw(bytes(1300))
    sent = [IP(bytes(packet))] * 3000
    heard = web.sniff(
        timeout=60.0,
        count=len(sent),
        where=lambda frame: UDP in frame and frame[UDP].dport == 9,
        started=lambda: client.send(sent),
        ifname="eth0",
    )
    assert len(heard) == len(sent)


def test_names_in_the_filter_that_counts(handle: Handle, client: Pod, web: Pod, tmp_path: Path) -> None:
    with handle.capture(["pod/client"], tmp_path / "file.pcapng") as captured:
        assert client.sr1(IP(dst=web.address) / ICMP()) is not None
    assert captured.count("icmp and src pod/client and dst host pod/web") == 1
    assert captured.count("icmp and net subnet/default") == 0


def test_a_question_to_the_dns(handle: Handle, client: Pod) -> None:
    server = handle.json("-n", "kube-system", "get", "service", "kube-dns")["spec"]["clusterIP"]
    question = DNS(id=9, qd=DNSQR(qname="kubernetes.default.svc.cluster.local"))
    answer = client.sr1(IP(dst=server) / UDP(sport=5353, dport=53) / question)
    assert answer is not None
    assert answer[DNS].id == 9
    assert answer[DNS].an[0].rdata == handle.json("get", "service", "kubernetes")["spec"]["clusterIP"]


def test_fragments_come_together_again(client: Pod, web: Pod, eventually: Eventually) -> None:
    whole = IP(src=client.address, dst=web.address, id=77) / UDP(sport=7000, dport=9) / Raw(b"x" * 2000)
    heard = web.sniff(
        count=2,
        where=lambda packet: IP in packet and packet[IP].id == 77 and packet[IP].src == client.address,
        started=lambda: client.send(fragment(whole, fragsize=1000)),
    )
    assert sum(len(packet[IP].payload) for packet in heard) == 2008

    def refused() -> list[Packet]:
        return client.sniff(
            count=1,
            timeout=2.0,
            where=lambda packet: ICMP in packet and packet[ICMP].type == 3,
            started=lambda: client.send(fragment(whole, fragsize=1000)),
        )

    # The kernel tells one sender so once a second, and those of the flood above were many.
    assert eventually(refused)[0][ICMP].code == 3, "put together, it met a port on which nobody listens"


def test_a_handshake_by_hand(client: Pod, web: Pod) -> None:
    ours = TCP(sport=6000, dport=80, seq=1000, flags="S")
    with client.by_hand(6000):
        synchronised = client.sr1(IP(dst=web.address) / ours)
        assert synchronised is not None
        assert str(synchronised[TCP].flags) == "SA"
        following = TCP(sport=6000, dport=80, seq=1001, ack=synchronised[TCP].seq + 1, flags="PA")
        answers = client.sr(IP(dst=web.address) / following / Raw(b"GET / HTTP/1.0\r\n\r\n"), timeout=1.0)
    assert any(b"200 OK" in bytes(answer) for answer in answers)
    unheard = client.sr(IP(dst=web.address) / TCP(sport=6001, dport=80, seq=1, flags="S"), timeout=0.5)
    assert [str(answer[TCP].flags) for answer in unheard] == ["SA"], (
        "and then the kernel resets what it knows nothing of"
    )


def test_the_inner_packet_of_vxlan(handle: Handle, client: Pod, web: Pod) -> None:
    node = handle.node("node-2")
    heard = node.sniff(
        count=1,
        ifname="eth0",
        where=lambda packet: UDP in packet and packet[UDP].dport in (4789, 8472),
        started=lambda: client.send(IP(dst=web.address) / ICMP(seq=99)),
    )
    carried = VXLAN(bytes(heard[0][UDP].payload))
    assert carried[Ether][IP].dst == web.address
    assert carried[Ether][ICMP].seq == 99


def test_a_trace_sees_what_carries_the_packet(handle: Handle) -> None:
    story = handle.trace("pod/client", "pod/web")
    assert story.result == "delivered", story.reason
    asked, answered = story.legs
    way = ["pod/client", "node/node-1", "router", "node/node-2", "pod/web"]
    assert [visit.place for visit in asked.visits] == way
    assert [visit.place for visit in answered.visits] == way[::-1]
    for leg in story.legs:
        (goes,), (comes,) = ([step for step in leg.visits[at].steps if step.kind == "tunnel"] for at in (1, 3))
        assert (goes.data["carries"], comes.data["carries"]) == (True, False)
        assert not [step for visit in leg.visits for step in visit.steps if step.kind == "nat"]
    firewall = [step.data["reason"] for step in asked.visits[2].steps if step.data.get("chain") == "ingress"]
    assert firewall, "the VPC's rules that the VXLAN packet met"


def test_scapy_inside_a_pod(handle: Handle, client: Pod, web: Pod) -> None:
    text = 'print("heard", sr1(IP(dst=names["pod/web"])/ICMP(), timeout=2, verbose=0)[IP].src)'
    assert f"heard {web.address}" in handle.netsim("scapy", "pod/client", "--command", text)


def test_scapy_inside_a_pod_at_a_terminal(handle: Handle, web: Pod) -> None:
    argv = [sys.executable, "-m", "workbench.cli.main", "scapy", "pod/client", "--name", handle.name]
    typed = 'print("heard", sr1(IP(dst=names["pod/web"])/ICMP(), timeout=2, verbose=0)[IP].src)\nexit()\n'
    done = subprocess.run(argv, input=typed, capture_output=True, text=True, timeout=60, check=False)
    assert f"heard {web.address}" in done.stdout, done.stderr
