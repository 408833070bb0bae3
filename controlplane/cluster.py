"""Puts the parts of one cluster together, and is the only module that knows all of them.

The order of a start matters where it says so; everything else is level-triggered and finds its
own order. What the parts made in the kernel stays when they stop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, TypeVar

from controlplane.api.kinds import NODE
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.local import LocalClient
from controlplane.config import ResolvedCluster, ResolvedNode
from controlplane.controllers import ControllerConfig, build_controllers
from controlplane.directories import Directories
from controlplane.dns import DnsConfig, DnsServer, DnsService
from controlplane.node import NodeAgent, NodeConfig
from controlplane.proxy import LocalTraffic, ProxyConfig, ServiceProxy, ServiceTable
from controlplane.scheduler import Scheduler
from controlplane.server.assembly import open_registry
from controlplane.server.http import ApiServer
from controlplane.server.kubeconfig import kubeconfig
from controlplane.server.pki import Pki
from controlplane.server.streams import StreamDirectory
from netsim import files
from netsim.vpc import NodePlan, SubnetPlan, Vpc, VpcPlan

log = logging.getLogger(__name__)

Step = Callable[[str, int, int], None]
Result = TypeVar("Result")

SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
ADMIN_USER = "kubernetes-admin"
ADMIN_GROUPS = ("system:masters",)
READY_SECONDS = 60.0
RESTART_SECONDS = 1.0
VPC_API_PORT = 6443
DNS_PORT = 53


class Component(Protocol):
    """Anything that works until it is cancelled."""

    async def run(self) -> None: ...


class NodesNotReady(Exception):
    """Some nodes did not become Ready in time."""


class Fabric:
    """The VPC, worked on by one thread so that the loop never waits for the kernel."""

    def __init__(self, plan: VpcPlan) -> None:
        self._vpc = Vpc(plan)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vpc")

    async def run(self, work: Callable[[Vpc], Result]) -> Result:
        """Awaits `work`, done on the VPC after what was asked for before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._vpc)

    async def set_load_balancers(self, routes: Mapping[str, Sequence[str]]) -> None:
        """Routes each load-balancer address to the nodes with the given addresses."""
        await self.run(lambda vpc: vpc.set_load_balancers(routes))

    def close(self) -> None:
        """Ends the thread and closes its sockets; the VPC stays."""
        self._thread.submit(self._vpc.close)
        self._thread.shutdown(wait=True)


class Cluster:
    """One cluster, as its resolved configuration says."""

    def __init__(self, config: ResolvedCluster, directories: Directories) -> None:
        self._config = config
        self._directories = directories
        self._fabric = Fabric(vpc_plan(config))
        self._pki = Pki(directories.pki)
        self._streams = StreamDirectory()
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def api_url(self) -> str:
        """Where the API server answers on the host."""
        return self._config.api_url

    @asynccontextmanager
    async def running(self, step: Step) -> AsyncIterator[asyncio.Future[None]]:
        """Brings the cluster up, all nodes Ready, and runs it inside the block.

        Yields a future that ends only if the cluster fails. `step` is told what is being done.
        """
        async with AsyncExitStack() as stack:
            stack.callback(self._fabric.close)
            step("certificates and network", 0, 0)
            _, on_host, in_vpc = await asyncio.gather(self._prepare_pki(), self._listen(), self._prepare_network())
            step("API server", 0, 0)
            registry = await stack.enter_async_context(
                open_registry(
                    self._directories.database,
                    service_range=self._config.service_range,
                    service_account_key=self._pki.service_account_key,
                )
            )
            server = ApiServer(
                registry,
                self._pki,
                streams=self._streams,
                address=f"{self._config.api_address}:{self._config.api_port}",
            )
            await stack.enter_async_context(server.serve([on_host, in_vpc]))
            client = LocalClient(registry)
            informers = Informers(client)
            work = asyncio.ensure_future(_run_all(self._components(client, informers), informers))
            stack.push_async_callback(_cancel, work)
            await _until_or_failed(self._nodes_ready(informers, step), work)
            yield work

    async def _prepare_pki(self) -> None:
        addresses = [
            str(self._config.api_address),
            str(self._config.api_vpc_address),
            str(self._config.kubernetes_address),
        ]
        await asyncio.to_thread(self._pki.ensure, SERVER_NAMES, addresses)
        admin = await asyncio.to_thread(self._pki.client, "admin", ADMIN_USER, ADMIN_GROUPS)
        text = json.dumps(
            kubeconfig(self._config.name, self.api_url, self._pki.ca_certificate.read_bytes(), client=admin)
        )
        files.replace(self._directories.admin_kubeconfig, text.encode(), mode=0o600, durable=True)

    async def _listen(self) -> socket.socket:
        return socket.create_server((str(self._config.api_address), self._config.api_port), backlog=1024)

    async def _prepare_network(self) -> socket.socket:
        nodes = [node_plan(node) for node in self._config.nodes]
        api_address = str(self._config.api_vpc_address)

        def prepare(vpc: Vpc) -> socket.socket:
            vpc.ensure()
            for node in nodes:
                vpc.ensure_node(node)
            return vpc.router_listener(api_address, VPC_API_PORT)

        return await self._fabric.run(prepare)

    def _components(self, client: LocalClient, informers: Informers) -> list[Component]:
        components: list[Component] = [*build_controllers(client, informers, self._controller_config())]
        components.append(Scheduler(client, informers))
        components += self._dns(client, informers)
        table = ServiceTable(informers)
        for node in self._config.nodes:
            agent = NodeAgent(client, informers, self._node_config(node))
            self._streams.register(node.name, agent)
            components += [agent, ServiceProxy(informers, self._proxy_config(node), table=table)]
        return components

    def _dns(self, client: LocalClient, informers: Informers) -> list[Component]:
        address, cluster_ip = str(self._config.api_vpc_address), str(self._config.dns_address)

        async def listen() -> tuple[socket.socket, socket.socket]:
            return await self._fabric.run(
                lambda vpc: (vpc.router_receiver(address, DNS_PORT), vpc.router_listener(address, DNS_PORT))
            )

        config = DnsConfig(cluster_ip, ranges=tuple(self._config.ranges().values()))
        service = DnsService(client, informers, cluster_ip=cluster_ip, address=address)
        return [service, DnsServer(informers, config, listen)]

    def _controller_config(self) -> ControllerConfig:
        return ControllerConfig(
            api_address=str(self._config.api_vpc_address),
            api_port=VPC_API_PORT,
            kubernetes_address=str(self._config.kubernetes_address),
            ca_bundle=self._pki.ca_certificate.read_text(),
            load_balancer_range=str(self._config.load_balancer_range),
            load_balancer_routes=self._fabric,
        )

    def _node_config(self, node: ResolvedNode) -> NodeConfig:
        plan = vpc_plan(self._config)
        return NodeConfig(
            name=node.name,
            cluster=self._config.name,
            address=str(node.address),
            pod_cidr=str(node.pod_range),
            namespace=plan.node_path(node.name),
            state_directory=self._directories.state,
            run_directory=self._directories.run,
            mtu=self._config.mtu,
            region=node.region,
            zone=node.zone,
            labels=node.labels,
            max_pods=self._config.max_pods_per_node,
            missing_image=self._config.missing_image,
            dns_address=str(self._config.dns_address),
        )

    def _proxy_config(self, node: ResolvedNode) -> ProxyConfig:
        pods = self._config.subnet(node.subnet).pod_range
        return ProxyConfig(
            node_name=node.name,
            namespace=vpc_plan(self._config).node_path(node.name),
            node_ip=str(node.address),
            local_traffic=LocalTraffic.by_cidr(str(pods)),
            zone=node.zone,
            non_masquerade=tuple(str(network) for network in self._config.ranges().values()),
        )

    async def _nodes_ready(self, informers: Informers, step: Step) -> None:
        wanted = {node.name for node in self._config.nodes}
        ready: set[str] = set()
        changed = asyncio.Event()

        def note(_: Object | None, node: Object | None) -> None:
            if node is not None and node["metadata"]["name"] in wanted and _is_ready(node):
                ready.add(node["metadata"]["name"])
                changed.set()

        informers.of(NODE).add_handler(note)
        try:
            async with asyncio.timeout(READY_SECONDS):
                while ready != wanted:
                    step("nodes", len(ready), len(wanted))
                    await changed.wait()
                    changed.clear()
        except TimeoutError as error:
            late = ", ".join(sorted(wanted - ready))
            raise NodesNotReady(
                f"not Ready within {READY_SECONDS:.0f} s: {late}; see {self._directories.log}"
            ) from error
        step("nodes", len(ready), len(wanted))


def vpc_plan(config: ResolvedCluster) -> VpcPlan:
    """The VPC that a configuration asks for."""
    return VpcPlan(
        cluster=config.name,
        subnets=tuple(
            SubnetPlan(subnet.name, str(subnet.range), str(subnet.gateway), str(subnet.pod_range))
            for subnet in config.subnets
        ),
        service_range=str(config.service_range),
        load_balancer_range=str(config.load_balancer_range),
        api_address=str(config.api_vpc_address),
        mtu=config.mtu,
        egress=config.egress == "nat",
    )


def node_plan(node: ResolvedNode) -> NodePlan:
    """A node's place in the VPC."""
    return NodePlan(node.name, node.subnet, str(node.address), str(node.pod_range))


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


async def _run_all(components: Iterable[Component], informers: Informers) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(informers.run(), name="informers")
        for component in components:
            group.create_task(_supervise(component), name=type(component).__name__)


async def _supervise(component: Component) -> None:
    """Runs a component, again after a failure: one part's bug must not take the whole cluster down."""
    while True:
        try:
            await component.run()
        except Exception:
            log.exception(
                "component failed", extra={"component": type(component).__name__, "again_in": RESTART_SECONDS}
            )
            await asyncio.sleep(RESTART_SECONDS)
        else:
            return


async def _until_or_failed(condition: Coroutine[Any, Any, None], work: asyncio.Future[None]) -> None:
    waiting = asyncio.ensure_future(condition)
    await asyncio.wait({waiting, work}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        await _cancel(waiting)
        work.result()
    waiting.result()


async def _cancel(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
