"""The cluster that a lab stands on: what steps do there, and what checks and facts ask of it."""

from __future__ import annotations

import http.client
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from dnslib import QTYPE, DNSError, DNSRecord

from netsim import namespace
from netsim.namespace import namespace_path
from netsim.trace import Probe
from netsim.trace.probe import Outcome, Protocol
from netsim.vpc.plan import ROUTER
from workbench.places import points_of, select
from workbench.places.points import netns_of_pod, node_netns
from workbench.testing.cluster import Cluster
from workbench.testing.running import CommandRefused
from workbench.tracing import read_ends

HOST = "host"
_HOST_NETNS = Path("/proc/self/ns/net")
_COMMAND_SECONDS = 30.0
_ANSWER_SECONDS, _WHOLE_ANSWER_SECONDS = 2.0, 10.0
_LARGEST_ANSWER = 1 << 20
_SETTLE_SECONDS = 0.05
"""Until the rings have told what they have."""
Result = TypeVar("Result")


class Unmet(LookupError):
    """Something is not as it has to be; the message says what, for who takes the lab."""


class Ground:
    """A running cluster and the namespace of Kubernetes that a lab is in."""

    def __init__(self, cluster: Cluster, kube_namespace: str) -> None:
        self.cluster, self.namespace = cluster, kube_namespace

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints. Raises `Unmet` with what it complains of."""
        try:
            return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)
        except CommandRefused as error:
            raise Unmet(error.stderr.strip() or f"kubectl ended with status {error.returncode}") from error

    def netns(self, place: str) -> Path:
        """The network namespace of `pod/web`, `node/node-1`, `router` or `host`. Raises `NoSuchPlace`."""
        if place == HOST:
            return _HOST_NETNS
        if place == ROUTER:
            return namespace_path(f"{self.cluster.name}-{ROUTER}")
        with self.cluster.world() as world:
            selection = select(world, world.cluster, place, self.namespace)
            if selection.pods:
                return netns_of_pod(selection.pods[0], world.cluster, self.cluster.directories)
            return node_netns(world.cluster, selection.nodes[0])

    def run(self, place: str, command: str) -> str:
        """What a shell prints in that network namespace. Raises `Unmet` when it fails."""
        inside = [] if place == HOST else ["nsenter", f"--net={self.netns(place)}"]
        done = subprocess.run(
            [*inside, "sh", "-c", command], capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
        )
        if done.returncode != 0:
            raise Unmet(f"in {place}, {command!r} ends with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def veth_of(self, pod: str) -> str:
        """The name of the node's end of a pod's link."""
        with self.cluster.world() as world:
            selection = select(world, world.cluster, pod, self.namespace)
            return points_of(selection, ("veth",), world.cluster, self.cluster.directories)[0].ifname

    def probe(self, source: str, target: str, protocol: Protocol, timeout: float = 1.0) -> Outcome:
        """What becomes of one packet, or one connection. The ends are those of `netsim trace`."""
        start, address, port = self._ends(source, target)
        return Probe(start, protocol, address, 0 if protocol == "icmp" else port, timeout=timeout).send()[1]

    def get(self, source: str, target: str) -> str:
        """What a server answers by HTTP. Raises `Unmet` if it does not."""
        start, address, port = self._ends(source, target)

        def asked() -> str:
            connection = http.client.HTTPConnection(address, port, timeout=_ANSWER_SECONDS)
            try:
                connection.request("GET", "/")
                return _read(connection.getresponse())
            finally:
                connection.close()

        try:
            return _inside(start, asked)
        except (OSError, http.client.HTTPException) as error:
            raise Unmet(f"{source} gets no answer from {target}: {error}") from error

    def resolve(self, source: str, name: str, kind: str) -> tuple[str, list[str]]:
        """The status and the records of that kind that the cluster's DNS gives, asked from there. Raises `Unmet`."""
        server = self.cluster.json("-n", "kube-system", "get", "service", "kube-dns")["spec"]["clusterIP"]
        question = DNSRecord.question(name, kind)

        def asked() -> bytes:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
                opened.settimeout(_ANSWER_SECONDS)
                opened.connect((server, 53))
                opened.send(question.pack())
                return opened.recv(65535)

        try:
            answer = DNSRecord.parse(_inside(self.netns(source), asked))
        except (OSError, DNSError) as error:
            raise Unmet(f"{source} gets no answer from the DNS about {name}: {error}") from error
        status = "NXDOMAIN" if answer.header.rcode == 3 else "NOERROR" if answer.header.rcode == 0 else "FAILED"
        found = [str(record.rdata).rstrip(".") for record in answer.rr if QTYPE[record.rtype] == kind]
        return status, sorted(found)

    def count(self, targets: Sequence[str], places: Sequence[str], filter_text: str, sent: Callable[[], None]) -> int:
        """How many packets pass there while something is sent; nothing is kept."""
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "check.pcapng"
            with self.cluster.capture(
                targets, file, filter_text=filter_text, places=places, namespace=self.namespace
            ) as captured:
                sent()
                time.sleep(_SETTLE_SECONDS)
            return captured.count()

    def _ends(self, source: str, target: str) -> tuple[Path, str, int]:
        with self.cluster.world() as world:
            start, end = read_ends(world, world.cluster, self.cluster.directories, (source, target), self.namespace)
        return start.netns, end.address, end.port


def _read(response: http.client.HTTPResponse) -> str:
    """As much as comes in time: who takes the lab may have made a server that never ends."""
    deadline, said = time.monotonic() + _WHOLE_ANSWER_SECONDS, b""
    while (some := response.read1()) and len(said) < _LARGEST_ANSWER and time.monotonic() < deadline:
        said += some
    return said.decode(errors="replace")


def _inside(netns: Path, work: Callable[[], Result]) -> Result:
    with namespace.entered(netns):
        return work()
