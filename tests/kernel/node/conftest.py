"""A node with its agent on an API in process: real namespaces, real containers, no sockets of the API."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.kinds import CONFIG_MAP, EVENT, POD
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.local import LocalClient
from controlplane.directories import Directories
from controlplane.node import NodeAgent, NodeConfig
from controlplane.node.runtime.spawner import FILE_THREADS, shared_spawner
from controlplane.server.assembly import open_registry
from controlplane.server.streams import LogOptions, ProcessStreams, TerminalSize
from netsim import inventory
from netsim.mark import Mark
from netsim.namespace import ensure_namespace, namespace_path

NODE = "node-1"
WAIT_SECONDS = 60.0
SETTLE_SECONDS = 0.05


@dataclass
class Ran:
    """What came of a command executed in a container."""

    status: int
    out: bytes
    err: bytes


@dataclass
class Node:
    """One node under test. `kill` ends the agent as SIGKILL would: nothing is told, nothing is cleaned up."""

    client: Client
    config: NodeConfig
    agent: NodeAgent = field(init=False)
    informers: Informers = field(init=False)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        self.informers = Informers(self.client)
        self._tasks = [asyncio.get_running_loop().create_task(self.informers.run())]
        self.start_agent(NodeAgent(self.client, self.informers, self.config))

    def start_agent(self, agent: NodeAgent) -> None:
        self.agent = agent
        self._tasks = [self._tasks[0], asyncio.get_running_loop().create_task(agent.run())]

    async def stop_agent(self) -> None:
        self._tasks[1].cancel()
        await asyncio.gather(self._tasks[1], return_exceptions=True)

    async def agent_ended(self) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            await self._tasks[1]

    async def kill(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        # What its threads are at would have died with it; here it has to be waited for.
        spawner = shared_spawner(self.config.run_directory)
        await asyncio.gather(*(spawner.files(time.sleep, SETTLE_SECONDS) for _ in range(FILE_THREADS)))
        await spawner.files((await spawner.spawn(["/bin/true"])).wait)

    async def create(self, name: str, *containers: Object, **spec: Any) -> None:
        pod = {
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 5, "containers": list(containers), **spec},
        }
        await self.client.create(POD, pod, "default")

    def pod(self, name: str) -> Object:
        return self.informers.of(POD).get(name, "default") or {}

    def status(self, name: str) -> Object:
        return self.pod(name).get("status") or {}

    def container(self, name: str, index: int = 0) -> Object:
        statuses = self.status(name).get("containerStatuses") or []
        return statuses[index] if statuses else {}

    def ready(self, name: str) -> bool:
        conditions = {c["type"]: c["status"] for c in self.status(name).get("conditions") or []}
        return conditions.get("Ready") == "True"

    async def until(self, seen: Callable[[], Any], what: str = "") -> Any:
        """Waits for a condition of the informers' objects; a failed agent ends the wait."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not (value := seen()):
                    for task in self._tasks:
                        if task.done():
                            task.result()
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(
                f"not within {WAIT_SECONDS} s: {what}; pods: {self.informers.of(POD).list()}"
            ) from None
        return value

    async def eventually(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Waits for a condition that has to be asked for, such as what a server answers."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                value = await ask()
                if value:
                    return value
                await asyncio.sleep(0.02)

    async def until_ready(self, name: str) -> Object:
        # After a restart the status is that of before until the agent has taken the pods over.
        await self.until(self.agent.registered.is_set, "the agent")
        await self.until(lambda: self.ready(name), f"{name} ready")
        return self.pod(name)

    async def delete(self, name: str) -> None:
        await self.client.delete(POD, name, "default")
        await self.until(lambda: not self.pod(name), f"{name} gone")

    async def log(self, name: str, container: str = "c", **options: Any) -> str:
        found = b""
        async for chunk in self.agent.logs(self.pod(name), container, LogOptions(**options)):
            found += chunk
        return found.decode()

    async def execute(
        self, name: str, *command: str, stdin: bytes | None = None, size: TerminalSize | None = None
    ) -> Ran:
        ran = Ran(-1, b"", b"")

        async def out(data: bytes) -> None:
            ran.out += data

        async def err(data: bytes) -> None:
            ran.err += data

        async def given() -> AsyncIterator[bytes]:
            yield stdin or b""
            if size is not None:
                await asyncio.Event().wait()

        async def sizes() -> AsyncIterator[TerminalSize]:
            assert size is not None
            yield size

        tty = size is not None
        streams = ProcessStreams(
            tty, given() if stdin is not None else None, out, None if tty else err, sizes() if tty else None
        )
        async with asyncio.timeout(WAIT_SECONDS):
            ran.status = await self.agent.exec(self.pod(name), "c", list(command), streams)
        return ran

    async def events(self, name: str) -> list[tuple[str, str]]:
        found = (await self.client.list(EVENT)).items
        return [(e["reason"], e["message"]) for e in found if e["involvedObject"]["name"] == name]

    async def until_event(self, name: str, reason: str, message: str) -> None:
        """Waits for an event about an object; events are written after what they are about."""

        async def recorded() -> bool:
            return (reason, message) in await self.events(name)

        await self.eventually(recorded)

    async def fetch(self, address: str, port: int, path: str = "/") -> str:
        """What the node's own network gets from an address."""
        return await asyncio.to_thread(self._fetch, address, port, path)

    async def ports(self) -> list[str]:
        """The links on the node's bridge."""
        argv = ["ip", "-n", self.config.namespace.name, "-br", "link", "show", "type", "veth"]
        ran = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, timeout=60, check=True)
        return str(ran.stdout).splitlines()

    def _fetch(self, address: str, port: int, path: str) -> str:
        argv = ["ip", "netns", "exec", self.config.namespace.name, "curl", "-s", "-m", "5", f"{address}:{port}{path}"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout


@asynccontextmanager
async def running_node(cluster: str) -> AsyncIterator[Node]:
    directories = Directories(cluster)
    directories.state.mkdir(parents=True)
    namespace = f"{cluster}-{NODE}"
    ensure_namespace(namespace, Mark(cluster, "node", NODE))
    config = NodeConfig(
        name=NODE,
        cluster=cluster,
        address="10.128.0.11",
        pod_cidr="10.44.1.0/24",
        namespace=namespace_path(namespace),
        state_directory=directories.state,
        run_directory=directories.run,
    )
    try:
        async with open_registry(directories.database) as registry:
            client = LocalClient(registry)
            with suppress(ApiError):
                await client.create(
                    CONFIG_MAP, {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "none"}}, "default"
                )
            node = Node(client, config)
            node.start()
            try:
                yield node
            finally:
                await node.kill()
    finally:
        shared_spawner(directories.run).close()
        inventory.remove(cluster)


@pytest.fixture
async def node(cluster: str) -> AsyncIterator[Node]:
    """A running node; everything of it is removed afterwards."""
    async with running_node(cluster) as running:
        yield running


def sandbox_files(node: Node) -> list[Path]:
    """What is left of pods in the node's run and state directories, and in the kernel."""
    config = node.config
    places = [config.run / name for name in ("containers", "sandboxes", "runtime", "volumes")]
    left = [path for place in (*places, config.pods) if place.exists() for path in place.iterdir()]
    own = f"{config.cluster}-default-"
    return left + [path for path in Path("/run/netns").iterdir() if path.name.startswith(own)]
