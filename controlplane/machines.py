"""The machines that the nodes of a cluster stand for: they come and go, are switched off and on, and crash.

Which there are, and what each is meant to do, is in cluster.json, which is written before anything is done: a daemon
that is killed in between finds there what to bring about. A machine that runs is a namespace in the VPC and the
components of its node. Nothing of it is left when it does not run, but for what a disk would keep.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from dataclasses import replace

from controlplane.api.errors import ApiError, NotFound
from controlplane.api.kinds import LEASE, NODE, POD
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.config import CLUSTER_FILE, NodeConfig, ResolvedCluster, ResolvedNode
from controlplane.config.placement import resolve_node
from controlplane.config.types import NodeState
from controlplane.control import Refused
from controlplane.controllers.pod_gc import orphaned, remove_pod
from controlplane.directories import Directories
from controlplane.fabric import Fabric
from controlplane.node import NodeAgent, power_off
from controlplane.node.errors import NodeError
from controlplane.readiness import ReadyNodes
from controlplane.server.streams import StreamDirectory
from controlplane.software import NodeSoftware, Software
from controlplane.supervision import cancel, run_all
from netsim import files
from netsim.errors import NetsimError

log = logging.getLogger(__name__)

START_SECONDS = 120.0
LINK_SECONDS = 1.0
LEASES = "kube-node-lease"


class Machines:
    """The machines of one cluster. A component; its commands work while `run` does, one after another."""

    def __init__(
        self,
        config: ResolvedCluster,
        directories: Directories,
        *,
        fabric: Fabric,
        client: Client,
        informers: Informers,
        streams: StreamDirectory,
        software: Software,
    ) -> None:
        self.config = config
        """As cluster.json has it now."""
        self.ready = ReadyNodes(informers)
        self._directories = directories
        self._fabric = fabric
        self._client = client
        self._streams = streams
        self._software = software
        self._group: asyncio.TaskGroup | None = None
        self._running: dict[str, tuple[NodeSoftware, asyncio.Task[None]]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Runs the machines that are meant to run, until cancelled; brings to an end what was cut off before."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for node in self.config.nodes:
                if node.state == "running":
                    self._switch_on(node)
            async with self._one_at_a_time:
                for node in [node for node in self.config.nodes if node.state != "running"]:
                    await self._settle(node)
            await self._look_after_links()

    async def _look_after_links(self) -> None:
        """Is the network service of the nodes that are cut off, for a link that went down and came up again."""
        while True:
            await asyncio.sleep(LINK_SECONDS)
            for name, (software, _) in list(self._running.items()):
                if software.agent.connected:
                    continue
                try:
                    await self._fabric.restore_way_out(self.config.node(name))
                except (NetsimError, KeyError) as error:
                    log.warning("no way out of a node", extra={"node": name, "error": str(error)})

    def agents(self) -> list[NodeAgent]:
        """The agents of the nodes that run."""
        return [software.agent for software, _ in self._running.values()]

    async def add(self, wanted: NodeConfig) -> ResolvedNode:
        """Adds a node and returns once it is Ready; a name is found for one that has none. ConfigError, Refused."""
        async with self._one_at_a_time:
            node = resolve_node(replace(wanted, name=wanted.name or self._free_name()), self.config)
            self._save((*self.config.nodes, node))
            try:
                await self._fabric.ensure_node(node)
                await self._until_ready(node)
            except BaseException:
                await self._remove(node, 0.0)
                raise
            return node

    async def remove(self, name: str, *, grace: float) -> None:
        """Takes a node away for good, after `grace` seconds for its processes to end: its Node and its pods too."""
        async with self._one_at_a_time:
            await self._remove(self._node(name), grace)

    async def stop(self, name: str, *, grace: float) -> None:
        """Shuts a node down: its processes are asked to end, and killed after `grace` seconds."""
        await self._switch_off(name, "stopped", grace)

    async def crash(self, name: str) -> None:
        """Has a node lose its power: nothing on it gets to say a word."""
        await self._switch_off(name, "crashed", 0.0)

    async def start(self, name: str) -> None:
        """Switches a node on, or starts the agent of one that runs and is not in the API; returns once it is Ready."""
        async with self._one_at_a_time:
            node = self._node(name)
            if node.state == "running":
                if await self._is_registered(name):
                    raise Refused(f"node {name} runs already")
                await self._end_software(name)
            await self._fabric.ensure_node(node)
            node = self._set_state(node, "running")
            await self._until_ready(node)

    async def freeze(self, name: str) -> None:
        """Has nobody speak for a node any more, whose processes and network are left as they are; again is no error."""
        async with self._one_at_a_time:
            await self._end_software(name)

    async def thaw(self, name: str) -> None:
        """Undoes `freeze`, if the node is still meant to run."""
        async with self._one_at_a_time:
            running = any(node.name == name and node.state == "running" for node in self.config.nodes)
            if running and name not in self._running:
                self._switch_on(self._node(name))

    # What the commands are made of.

    def _switch_on(self, node: ResolvedNode) -> NodeSoftware:
        assert self._group is not None, "only while `run` does"
        software = self._software.of(node)
        work = self._group.create_task(run_all([software.agent, *software.others]), name=f"machine-{node.name}")
        self._running[node.name] = software, work
        self._streams.register(node.name, software.agent)
        return software

    async def _until_ready(self, node: ResolvedNode) -> None:
        software = self._switch_on(node)
        try:
            async with asyncio.timeout(START_SECONDS):
                await software.agent.registered.wait()
        except TimeoutError as error:
            raise Refused(
                f"node {node.name} has not started in {START_SECONDS:.0f} s", "see the daemon's log"
            ) from error
        # One without a range for its pods is never Ready, and says why.
        if node.pod_range is not None:
            await self.ready.wait({node.name}, seconds=START_SECONDS, count=lambda done, total: None)

    async def _end_software(self, name: str) -> None:
        if name in self._running:
            self._streams.unregister(name)
            _, work = self._running.pop(name)
            await cancel(work)

    async def _switch_off(self, name: str, state: NodeState, grace: float) -> None:
        async with self._one_at_a_time:
            node = self._node(name)
            if node.state != "running":
                raise Refused(f"node {name} does not run: it is {node.state}")
            await self._halt(self._set_state(node, state), grace)

    async def _halt(self, node: ResolvedNode, grace: float) -> None:
        """From here on nobody speaks for the node; then its processes, its network and its memory go."""
        config = self._software.agent_config(node)
        await self._end_software(node.name)
        try:
            await asyncio.to_thread(power_off, config, grace=grace)
        except NodeError as error:
            raise Refused(str(error), "see what they are with ps, and then: netsim node remove") from error
        await self._fabric.delete_node(node.name)

    async def _settle(self, node: ResolvedNode) -> None:
        """What was cut off; one that cannot be brought to an end keeps no other node from running."""
        try:
            if node.state == "leaving":
                await self._remove(node, 0.0)
            else:
                await self._halt(node, 0.0)
        except (NetsimError, Refused, ApiError) as error:
            log.error("a node is not off yet", extra={"node": node.name, "state": node.state, "error": str(error)})

    async def _remove(self, node: ResolvedNode, grace: float) -> None:
        node = self._set_state(node, "leaving")
        config = self._software.agent_config(node)
        await self._halt(node, grace)
        await self._forget(node.name)
        for directory in (config.pods, config.own, config.addresses):
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        self._save(tuple(other for other in self.config.nodes if other.name != node.name))

    async def _forget(self, name: str) -> None:
        """Takes the node out of the API, with the pods that were on it: nobody else would, for want of an agent."""
        for kind, namespace in ((NODE, ""), (LEASE, LEASES)):
            with contextlib.suppress(NotFound):
                await self._client.delete(kind, name, namespace)
        pods = await self._client.list(POD, field_selector=f"spec.nodeName={name}")
        for pod in pods.items:
            await remove_pod(self._client, pod, orphaned(time.time()))

    async def _is_registered(self, name: str) -> bool:
        try:
            await self._client.get(NODE, name)
        except NotFound:
            return False
        return True

    def _node(self, name: str) -> ResolvedNode:
        try:
            return self.config.node(name)
        except KeyError as error:
            names = ", ".join(node.name for node in self.config.nodes) or "none"
            raise Refused(f"there is no node {name}", f"there is: {names}") from error

    def _free_name(self) -> str:
        taken = {node.name for node in self.config.nodes}
        return next(name for number in range(1, len(taken) + 2) if (name := f"node-{number}") not in taken)

    def _set_state(self, node: ResolvedNode, state: NodeState) -> ResolvedNode:
        changed = replace(node, state=state)
        self._save(tuple(changed if other.name == node.name else other for other in self.config.nodes))
        return changed

    def _save(self, nodes: tuple[ResolvedNode, ...]) -> None:
        self.config = replace(self.config, nodes=nodes)
        files.replace(self._directories.state / CLUSTER_FILE, self.config.to_json().encode(), mode=0o644, durable=True)
