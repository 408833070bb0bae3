"""A cluster as a test sees it: kubectl, pods and nodes with scapy, captures and traces."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from controlplane.api.types import Object
from controlplane.directories import CACHE_ROOT, Directories
from netsim.capture import Recorder
from netsim.trace.probe import Protocol
from workbench.cli.apiclient import ApiReader
from workbench.cli.world import LiveWorld
from workbench.places import AddressBook, points_of_each, select, with_names
from workbench.places.points import netns_of_pod, node_netns
from workbench.testing.captured import Captured
from workbench.testing.crafted import Crafting
from workbench.testing.running import LIMIT_SECONDS, run
from workbench.tracing import Story, read_ends, trace

_NAMESPACE_SECONDS = 60.0
_NAMESPACES = "/api/v1/namespaces"


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
        return run([sys.executable, "-m", "workbench.cli.main", *arguments, "--name", self.name])

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = LIMIT_SECONDS) -> str:
        """What kubectl prints. Raises `CalledProcessError`, whose text has all that it said."""
        program = str(Path(sys.executable).parent / "kubectl")
        # What kubectl has learned of another cluster at this address is not true of this one.
        own = ["--kubeconfig", str(self.kubeconfig), "--cache-dir", str(self.directories.run / "kubectl-cache")]
        return run([program, *own, *arguments], stdin=stdin, timeout=timeout)

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

    def create_namespace(self, name: str) -> None:
        """A namespace that is ready for pods: the objects that each one gets are there."""
        with self._api() as api:
            api.send("POST", _NAMESPACES, {"metadata": {"name": name}})
            for collection, given in (("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default")):
                api.wait_for(f"{_NAMESPACES}/{name}/{collection}", given, _NAMESPACE_SECONDS)

    def delete_namespace(self, name: str) -> None:
        """Asks for its removal and waits for nothing; its pods have one second to end."""
        with self._api() as api:
            api.send("DELETE", f"{_NAMESPACES}/{name}")
            # Behind it, so that no controller makes them anew.
            api.send("DELETE", f"{_NAMESPACES}/{name}/pods", {"gracePeriodSeconds": 1})

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
            text = _addressed(world, filter_text, namespace)
            names = AddressBook(world, cluster).names
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        recorder = Recorder(points, descriptor, cache=CACHE_ROOT, cluster=self.name, filter_text=text, names=names)

        def addressed(text: str) -> str:
            with self.world() as later:
                return _addressed(later, text, namespace)

        captured = Captured(file, recorder, descriptor, addressed)
        try:
            recorder.start()
        except BaseException:
            captured.abandon()
            raise
        try:
            yield captured
        finally:
            # Also of what fails inside the block the last packets are kept.
            captured.stop()

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
    def _api(self) -> Iterator[ApiReader]:
        reader = ApiReader(self.kubeconfig)
        try:
            yield reader
        finally:
            reader.close()

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


def _addressed(world: LiveWorld, filter_text: str, namespace: str) -> str:
    return with_names(filter_text, lambda said: select(world, world.cluster, said, namespace), world.cluster)
