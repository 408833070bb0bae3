"""What the pod network carries: one TCP connection between pods, and new connections a second through a Service.

The reference of throughput is two bare namespaces on one veth, with nothing between them; that of a Service's address
is the pod's own. Each runs in turns with what it is beside.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import commands, harness
from bench.harness import Session
from bench.kube import Kube, is_ready
from controlplane.directories import Directories
from netsim import firewall, namespace, programs
from netsim.mark import Mark

NAME = "bench-network"
BARE = ("bench-bare-1", "bench-bare-2")
BARE_ADDRESSES = ("192.0.2.1", "192.0.2.2")
PORT = 5001
SECONDS = 1.5
CORE = "/api/v1/namespaces/default"
PLACES = {"client": "node-1", "near": "node-1", "far": "node-2"}


def run(session: Session) -> None:
    """All four figures."""
    commands.netsim(NAME, "down")
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-network-")))
        program = programs.ensure_built(Path(__file__).with_name("netload.c"), scratch)
        stack.callback(commands.netsim, NAME, "down")
        commands.netsim(NAME, "up", "--nodes", "2")
        kube = Kube(Directories(NAME).admin_kubeconfig)
        addresses = _pods(kube)
        services = {name: _service(kube, name) for name in ("near", "far")}
        stack.enter_context(_bare())
        for netns in (BARE[1], _netns("near"), _netns("far")):
            stack.enter_context(_serving(program, netns))
        for name, where, target in (("near", "the same node", ">= 0.6x"), ("far", "across nodes", ">= 0.4x")):
            _report_throughput(session, program, addresses[name], f"pod to pod, {where}", target)
        for name, where in (("near", "the same node"), ("far", "across nodes")):
            _report_connections(session, program, services[name], addresses[name], where)


def _report_throughput(session: Session, program: Path, address: str, title: str, target: str) -> None:
    ours, bare = [], []
    for _ in range(session.runs):
        bare.append(_load(program, BARE[0], "flood", BARE_ADDRESSES[1]) / 1000)
        ours.append(_load(program, _netns("client"), "flood", address) / 1000)
    session.report(f"{title}, one TCP connection", ours, bare, "Gbit/s", target, reference_is="two namespaces, a veth")


def _report_connections(session: Session, program: Path, service: str, address: str, where: str) -> None:
    ours, direct = [], []
    for _ in range(session.runs):
        direct.append(_load(program, _netns("client"), "connect", address))
        ours.append(_load(program, _netns("client"), "connect", service))
    title = f"connections through a ClusterIP, {where}"
    session.report(title, ours, direct, "/s", ">= 0.8x", reference_is="the pod's address")


def _pods(kube: Kube) -> dict[str, str]:
    """The addresses of the pods, by name."""

    def make() -> None:
        for name, node in PLACES.items():
            container = {"name": "c", "image": "busybox", "command": ["sleep", "1000000"]}
            spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0}
            metadata = {"name": name, "labels": {"app": name}}
            kube.post(f"{CORE}/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    kube.until(f"{CORE}/pods", lambda pods: sum(map(is_ready, pods.values())) == len(PLACES), make)
    return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in kube.get(f"{CORE}/pods")["items"]}


def _service(kube: Kube, name: str) -> str:
    """The cluster IP of a Service of one pod, once the rules lead there."""
    spec = {"selector": {"app": name}, "ports": [{"port": PORT}]}
    metadata = {"name": name}
    made = kube.post(f"{CORE}/services", {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    address: str = made["spec"]["clusterIP"]
    return address


@contextmanager
def _bare() -> Iterator[None]:
    """Two namespaces with a veth between them."""
    with ExitStack() as stack:
        for name in BARE:
            namespace.create_namespace(name, Mark(NAME, "node", name))
            stack.callback(namespace.delete_namespace, name)
        one, two = BARE
        firewall.run(
            ["ip", "-n", one, "link", "add", "eth0", "mtu", "1460", "type", "veth", "peer", "eth0", "netns", two]
        )
        firewall.run(["ip", "-n", two, "link", "set", "eth0", "mtu", "1460"])
        for name, address in zip(BARE, BARE_ADDRESSES, strict=True):
            firewall.run(["ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0"])
            firewall.run(["ip", "-n", name, "link", "set", "eth0", "up"])
        yield


@contextmanager
def _serving(program: Path, netns: str) -> Iterator[None]:
    argv = ["ip", "netns", "exec", netns, str(program), "serve", str(PORT)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()
            yield
        finally:
            server.terminate()


def _load(program: Path, netns: str, what: str, address: str) -> float:
    argv = ["ip", "netns", "exec", netns, str(program), what, address, str(PORT), str(SECONDS)]
    return float(commands.output(*argv))


def _netns(pod: str) -> str:
    (path,) = Path("/run/netns").glob(f"{NAME}-default-{pod}-*")
    return path.name


if __name__ == "__main__":
    harness.main(run)
