"""A cluster as a test sees it: kubectl, pods and nodes with scapy, captures and traces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlplane.api.types import Object
from controlplane.directories import CACHE_ROOT, Directories
from netsim.capture import Recorder, Tally
from netsim.trace.probe import Protocol
from workbench.cli.world import LiveWorld
from workbench.places import AddressBook, points_of_each, select, with_names
from workbench.places.points import netns_of_pod, node_netns
from workbench.testing.crafted import Crafting
from workbench.tracing import Story, read_ends, trace

if TYPE_CHECKING:
    from scapy.packet import Packet

_LIMIT_SECONDS = 120.0


class Cluster:
    """A running cluster. Needs root, as everything that enters a namespace does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directories = Directories(name)
        self.kubeconfig = self.directories.admin_kubeconfig

    def up(self, config: Path | None = None, nodes: int | None = None) -> None:
        """Starts it. Raises `CalledProcessError` with what `netsim up` said."""
        options = ["--config", str(config)] if config is not None else []
        options += ["--nodes", str(nodes)] if nodes is not None else []
        self.netsim("up", *options)

    def down(self) -> None:
        """Removes it, and all that it made."""
        self.netsim("down")

    def netsim(self, *arguments: str) -> str:
        """What `netsim ARGUMENTS --name NAME` prints."""
        return _run([sys.executable, "-m", "workbench.cli.main", *arguments, "--name", self.name])

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = _LIMIT_SECONDS) -> str:
        """What kubectl prints. Raises `CalledProcessError`, whose text has all that it said."""
        program = str(Path(sys.executable).parent / "kubectl")
        return _run([program, "--kubeconfig", str(self.kubeconfig), *arguments], stdin=stdin, timeout=timeout)

    def json(self, *arguments: str) -> Any:
        """What kubectl prints with `-o json`, parsed."""
        return json.loads(self.kubectl(*arguments, "-o", "json"))

    def apply(self, manifest: str | Path, namespace: str = "default") -> None:
        """Applies a manifest: its text, or the file."""
        text = manifest.read_text() if isinstance(manifest, Path) else manifest
        self.kubectl("-n", namespace, "apply", "-f", "-", stdin=text)

    def wait(self, what: str = "pod", condition: str = "Ready", namespace: str = "default", seconds: int = 60) -> None:
        """Waits until all of a kind, or one object as `pod/web`, meet a condition."""
        every = [] if "/" in what else ["--all"]
        self.kubectl("-n", namespace, "wait", f"--for=condition={condition}", what, *every, f"--timeout={seconds}s")

    def pod(self, name: str, namespace: str = "default") -> Pod:
        """A pod that runs. Raises `NoSuchPlace`."""
        with self.world() as world:
            (pod,) = select(world, world.cluster, f"pod/{name}", namespace).pods
            return Pod(self, pod, netns_of_pod(pod, world.cluster, self.directories))

    def node(self, name: str) -> Node:
        """A node. Raises `NoSuchPlace`."""
        with self.world() as world:
            (found,) = select(world, world.cluster, f"node/{name}").nodes
            address = next(str(node.address) for node in world.cluster.nodes if node.name == found)
            return Node(found, address, node_netns(world.cluster, found))

    def trace(
        self, source: str, target: str, protocol: Protocol = "tcp", *, namespace: str = "default", timeout: float = 1.0
    ) -> Story:
        """Sends a packet and tells its whole way, as `netsim trace` does."""
        with self.world() as world:
            ends = read_ends(world, world.cluster, self.directories, (source, target), namespace)
            return trace(world, world.cluster, self.directories, ends, protocol=protocol, timeout=timeout)

    @contextmanager
    def capture(
        self,
        targets: Sequence[str],
        file: Path,
        *,
        filter_text: str = "",
        places: Sequence[str] = (),
        namespace: str = "default",
    ) -> Iterator[Captured]:
        """Captures inside the block; the file is whole behind it. Names are those of `netsim capture`."""
        with self.world() as world:
            cluster = world.cluster
            selections = [select(world, cluster, target, namespace) for target in targets]
            points = points_of_each(selections, places, cluster, self.directories)
            text = with_names(filter_text, lambda said: select(world, cluster, said, namespace), cluster)
            names = AddressBook(world, cluster).names
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        recorder = Recorder(points, descriptor, cache=CACHE_ROOT, cluster=self.name, filter_text=text, names=names)
        captured = Captured(file)
        try:
            recorder.start()
            yield captured
            captured.tallies = recorder.stop()
        finally:
            recorder.kill()
            os.close(descriptor)

    @contextmanager
    def fault(self, kind: str, *places: str, namespace: str = "default", **options: object) -> Iterator[Object]:
        """A fault inside the block, as `netsim fault add KIND PLACE...` makes it, healed behind it; yields its object.

        Options are those of the command: `fault("rate", "pod/web", rate="1Mbit")`, a list for one that is repeated.
        """
        given = [(f"--{key.replace('_', '-')}", value) for key, value in options.items() if value is not None]
        words = [(key, str(each)) for key, value in given for each in (value if isinstance(value, list) else [value])]
        flat = [word for pair in words for word in pair]
        made = json.loads(self.netsim("fault", "add", kind, *places, "-n", namespace, "-o", "json", *flat))
        try:
            yield made
        finally:
            self.kubectl("delete", "fault", made["metadata"]["name"], "--ignore-not-found")

    @contextmanager
    def world(self) -> Iterator[LiveWorld]:
        """The cluster at this moment, for what asks of many objects."""
        world = LiveWorld(self.directories)
        try:
            yield world
        finally:
            world.close()


class Pod(Crafting):
    """A pod: `name`, `namespace`, `address`, `node`, and scapy inside it."""

    def __init__(self, cluster: Cluster, pod: Object, netns: Path) -> None:
        super().__init__(netns)
        self._cluster = cluster
        self.name, self.namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        self.address, self.node = pod["status"]["podIP"], pod["spec"]["nodeName"]

    def run(self, *command: str) -> str:
        """What a command prints inside the pod."""
        return self._cluster.kubectl("-n", self.namespace, "exec", self.name, "--", *command)


class Node(Crafting):
    """A node: `name`, `address`, and scapy in its namespace."""

    def __init__(self, name: str, address: str, netns: Path) -> None:
        super().__init__(netns)
        self.name, self.address = name, address


@dataclass(slots=True)
class Captured:
    """A capture's file; once it has ended also what was counted, one tally a point."""

    file: Path
    tallies: list[Tally] | None = None

    def count(self, filter_text: str = "") -> int:
        """How many of its packets a filter of tcpdump takes."""
        return len(_run(["tcpdump", "-n", "-r", str(self.file), filter_text]).splitlines())

    def packets(self) -> list[Packet]:
        """All packets, read by scapy."""
        from scapy.utils import rdpcap

        return list(rdpcap(str(self.file)))


def _run(argv: Sequence[str], *, stdin: str | None = None, timeout: float = _LIMIT_SECONDS) -> str:
    environment = {**os.environ, "KUBECTL_KUBERC": "false"}
    done = subprocess.run(
        list(argv), input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=environment
    )
    if done.returncode != 0:
        raise CommandRefused(done.returncode, list(argv), done.stdout, done.stderr)
    return done.stdout


class CommandRefused(subprocess.CalledProcessError):
    """A command ended with a status other than 0; the text has all that it said."""

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.stdout}{self.stderr}"
