"""One node with pods on its bridge and a neighbour outside, and what policies let pass between them."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from controlplane.policy import kernel
from controlplane.policy.model import Pod, Policy, Selection, read_policy
from controlplane.policy.rules import NodePolicy, compile_node
from netsim import firewall, namespace
from netsim.mark import Mark
from netsim.namespace import namespace_path
from tests.kernel.conftest import PREFIX
from tests.kernel.world import run

PORTS = (80, 81, 90, 8080)
PATIENCE = 0.15
"""Seconds until a connection is taken to be denied; here they take less than a millisecond."""

LABELS: dict[str, dict[str, str]] = {
    "web": {"app": "web"},
    "client": {"role": "client"},
    "other": {"app": "other"},
    "far": {"team": "far"},
}
NAMESPACES = {"default": {"name": "default"}, "tools": {"purpose": "tools"}}


class World:
    """The namespaces by pod, and the node's rules as a list of policies makes them. "far" is a pod of another node."""

    def __init__(self, prefix: str) -> None:
        self.node = f"{prefix}-node"
        self.netns = {name: f"{prefix}-{name}" for name in LABELS}
        self.pods = {
            name: Pod(
                uid=name,
                namespace="tools" if name == "other" else "default",
                name=name,
                node="node-2" if name == "far" else "node-1",
                address="10.44.2.9" if name == "far" else f"10.44.1.{number}",
                labels=labels,
                ports=(("http", "tcp", 8080),) if name == "web" else (),
            )
            for number, (name, labels) in enumerate(LABELS.items(), 2)
        }
        self.applied: NodePolicy | None = None

    def members(self, selection: Selection) -> Mapping[str, Pod]:
        return {uid: p for uid, p in self.pods.items() if selection.matches(p, NAMESPACES[p.namespace])}

    def apply(self, *policies: Policy) -> NodePolicy:
        """Has the node's kernel hold these policies."""
        here = [pod for pod in self.pods.values() if pod.node == "node-1"]
        chosen = [
            (p, [each for each in policies if each.namespace == p.namespace and each.selects(p.labels)]) for p in here
        ]
        wanted = compile_node([(pod, found) for pod, found in chosen if found], self.members)
        with namespace.entered(namespace_path(self.node)):
            if self.applied is None:
                kernel.adopt(wanted)
            else:
                kernel.change(self.applied, wanted)
        self.applied = wanted
        return wanted

    def connects(self, source: str, target: str, port: int = 80, *, patience: float = PATIENCE) -> bool:
        """Whether a TCP connection comes about; `source` may be "node"."""
        return bool(self.connected({(source, target, port)}, patience))

    def connected(self, attempts: set[tuple[str, str, int]], patience: float = PATIENCE) -> set[tuple[str, str, int]]:
        """Those of (source, target, port) between which a connection comes about, all tried at once."""
        found, poll, opened = set(), select.poll(), {}
        with ExitStack() as stack:
            for attempt in attempts:
                source, target, port = attempt
                client = stack.enter_context(self.socket(source, socket.SOCK_STREAM))
                client.setblocking(False)
                client.connect_ex((self.address(target), port))
                opened[client.fileno()] = attempt
                poll.register(client, select.POLLOUT)
            deadline = time.monotonic() + patience
            while opened and (left := deadline - time.monotonic()) > 0:
                for descriptor, event in poll.poll(left * 1000):
                    poll.unregister(descriptor)
                    attempt = opened.pop(descriptor)
                    if not event & select.POLLERR:
                        found.add(attempt)
        return found

    def answers(self, source: str, target: str, port: int = 53) -> bool:
        """Whether a datagram is answered."""
        with closing(self.socket(source, socket.SOCK_DGRAM)) as client:
            client.settimeout(PATIENCE)
            client.sendto(b"?", (self.address(target), port))
            try:
                return client.recv(10) == b"!"
            except TimeoutError:
                return False

    def matrix(self, port: int = 80) -> set[tuple[str, str]]:
        """The pairs of pods between which a connection comes about."""
        return {(a, b) for a, b, _ in self.connected({(a, b, port) for a in LABELS for b in LABELS if a != b})}

    def socket(self, source: str, kind: int, protocol: int = 0) -> socket.socket:
        """A socket inside a pod, or inside the node."""
        with namespace.entered(namespace_path(self.netns.get(source, self.node))):
            return socket.socket(socket.AF_INET, kind, protocol)

    def address(self, pod: str) -> str:
        return self.pods[pod].address if pod in self.pods else pod

    def saved(self, *, counters: bool = False) -> str:
        """The filter rules, without the comments that carry the time."""
        with namespace.entered(namespace_path(self.node)):
            text = firewall.save("filter", counters=counters)
        return "\n".join(line for line in text.splitlines() if not line.startswith("#"))

    def sets(self) -> str:
        with namespace.entered(namespace_path(self.node)):
            return firewall.save_sets()


def policy(name: str = "p", namespace: str = "default", **spec: Any) -> Policy:
    """A policy that selects the pod web, unless told otherwise."""
    selector = spec.pop("podSelector", {"matchLabels": {"app": "web"}})
    return read_policy({"metadata": {"namespace": namespace, "name": name}, "spec": {"podSelector": selector, **spec}})


@pytest.fixture(scope="module")
def shared_world() -> Iterator[World]:
    world = World(f"{PREFIX}-pol")
    with ExitStack() as stack:
        for name in (world.node, *world.netns.values()):
            namespace.create_namespace(name, Mark(f"{PREFIX}-pol", "pod", name))
            stack.callback(namespace.delete_namespace, name)
        connect(world)
        for name in LABELS:
            stack.enter_context(serving(world, name))
        yield world


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The world without a policy; a test leaves none."""
    assert shared_world.applied is None or not shared_world.applied.chains
    yield shared_world
    shared_world.apply()
    assert "NETSIM" not in shared_world.saved() + shared_world.sets()


def connect(world: World) -> None:
    """Links, addresses and routes; "far" is behind the node's eth0."""
    node = world.node
    run("ip", "link", "add", "cbr0", "type", "bridge", netns=node)
    run("ip", "addr", "add", "10.44.1.1/24", "dev", "cbr0", netns=node)
    run("ip", "link", "set", "cbr0", "up", netns=node)
    run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1", netns=node)
    # As kube-proxy has it; it is also what makes the kernel track connections.
    with namespace.entered(namespace_path(node)):
        firewall.restore("*filter\n-A FORWARD -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n")
    for number, (name, netns) in enumerate(world.netns.items()):
        port, far = f"veth{number}", name == "far"
        gateway = "10.44.2.1" if far else "10.44.1.1"
        run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", netns, netns=node)
        if far:
            run("ip", "addr", "add", "10.44.2.1/24", "dev", port, netns=node)
            run("ip", "link", "set", port, "up", netns=node)
        else:
            run("ip", "link", "set", port, "master", "cbr0", "up", netns=node)
            run("bridge", "link", "set", "dev", port, "hairpin", "on", netns=node)
        run("ip", "addr", "add", f"{world.pods[name].address}/24", "dev", "eth0", netns=netns)
        run("ip", "link", "set", "eth0", "up", netns=netns)
        run("ip", "route", "add", "default", "via", gateway, netns=netns)


@contextmanager
def serving(world: World, pod: str) -> Iterator[None]:
    """TCP listeners on `PORTS` and a UDP server on 53 and 5000 to 5002. Nobody accepts, which is enough."""
    listeners = [world.socket(pod, socket.SOCK_STREAM) for _ in PORTS]
    receivers = [world.socket(pod, socket.SOCK_DGRAM) for _ in range(4)]
    ending = threading.Event()

    def serve(receiver: socket.socket) -> None:
        while not ending.is_set():
            try:
                _, peer = receiver.recvfrom(10)
                receiver.sendto(b"!", peer)
            except TimeoutError:
                continue

    for listener, port in zip(listeners, PORTS, strict=True):
        listener.bind(("", port))
        listener.listen(1024)
    for receiver, port in zip(receivers, (53, 5000, 5001, 5002), strict=True):
        receiver.bind(("", port))
        receiver.settimeout(0.1)
    threads = [threading.Thread(target=serve, args=(receiver,)) for receiver in receivers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()
        for opened in (*listeners, *receivers):
            opened.close()


def denied(world: World, pod: str) -> int:
    """How many packets were denied to or from a pod, by the counters of the sets."""
    text = f'comment "{world.pods[pod].text}"'
    lines: Sequence[str] = [line for line in world.sets().splitlines() if line.endswith(text) and " packets " in line]
    return sum(int(line.split(" packets ")[1].split()[0]) for line in lines)
