"""Puts the parts of one cluster together, and is the only module that knows all of them.

The order of a start matters where it says so; everything else is level-triggered and finds its
own order. What the parts made in the kernel stays when they stop.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from controlplane.client.informer import Informers
from controlplane.client.local import LocalClient
from controlplane.config import ResolvedCluster
from controlplane.control import ControlServer
from controlplane.controllers import ControllerConfig, build_controllers
from controlplane.directories import Directories, export_disks, volume_disks
from controlplane.dns import DnsConfig, DnsServer, DnsService
from controlplane.fabric import Fabric, node_plan, vpc_plan
from controlplane.faults import FaultConfig, FaultController, ensure_definition, hampered_nodes
from controlplane.machine_commands import commands
from controlplane.machines import Machines
from controlplane.node.runtime import cgroups
from controlplane.readiness import ReadyNodes
from controlplane.resource_metrics import serve_metrics
from controlplane.scheduler import Scheduler
from controlplane.server.aggregation.authentication import ensure_extension_authentication
from controlplane.server.assembly import open_registry
from controlplane.server.dialing import Dialer
from controlplane.server.http import ApiServer
from controlplane.server.kubeconfig import kubeconfig
from controlplane.server.pki import Pki
from controlplane.server.signing import CertificateSigner
from controlplane.server.streams import StreamDirectory
from controlplane.software import VPC_API_PORT, Software
from controlplane.supervision import Component, cancel, run_all, until_or_failed
from netsim import files
from netsim.exports import Exports
from netsim.vpc import Vpc

Step = Callable[[str, int, int], None]

SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
ADMIN_USER = "kubernetes-admin"
ADMIN_GROUPS = ("system:masters",)
READY_SECONDS = 180.0
DNS_PORT = 53
ACCOUNT_SECONDS = 2.0
"""How long a pod waits for the first account of its namespace; upstream's server asks ten times in as long."""


class Cluster:
    """One cluster, as its resolved configuration says."""

    def __init__(self, config: ResolvedCluster, directories: Directories) -> None:
        self._config = config
        self._directories = directories
        self._fabric = Fabric(vpc_plan(config))
        self._pki = Pki(directories.pki)
        self._streams = StreamDirectory()

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
            dialer = Dialer(self._fabric.plan.router_path)
            registry = await stack.enter_async_context(
                open_registry(
                    self._directories.database,
                    service_range=self._config.service_range,
                    service_account_key=self._pki.service_account_key,
                    account_patience=ACCOUNT_SECONDS,
                    dialer=dialer,
                )
            )
            server = ApiServer(
                registry,
                self._pki,
                streams=self._streams,
                dialer=dialer,
                address=f"{self._config.api_address}:{self._config.api_port}",
            )
            await stack.enter_async_context(server.serve([on_host, in_vpc]))
            await ensure_extension_authentication(registry, self._pki)
            client = LocalClient(registry, agent="kube-controller-manager")
            await ensure_definition(client)
            hampered = await hampered_nodes(client)
            informers = Informers(client)
            machines = self._machines(LocalClient(registry, agent="kubelet"), informers)
            serve_metrics(registry, informers, machines.agents)
            components = [*self._components(client, informers), self._faults(client, informers, machines), machines]
            work = asyncio.ensure_future(run_all([informers, *components]))
            stack.push_async_callback(cancel, work)
            await until_or_failed(self._nodes_ready(machines.ready, step, hampered), work)
            # Only now: a command would find the cluster half made.
            control = asyncio.ensure_future(run_all([ControlServer(self._directories.control, commands(machines))]))
            stack.push_async_callback(cancel, control)
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
        nodes = [node_plan(node) for node in self._config.nodes if node.state == "running"]
        api_address = str(self._config.api_vpc_address)

        def prepare(vpc: Vpc) -> socket.socket:
            vpc.ensure(nodes)
            return vpc.router_listener(api_address, VPC_API_PORT)

        return await self._fabric.run(prepare)

    def _components(self, client: LocalClient, informers: Informers) -> list[Component]:
        components: list[Component] = [*build_controllers(client, informers, self._controller_config())]
        components.append(Scheduler(client, informers))
        components += self._dns(client, informers)
        return components

    def _machines(self, client: LocalClient, informers: Informers) -> Machines:
        return Machines(
            self._config,
            self._directories,
            fabric=self._fabric,
            client=client,
            informers=informers,
            streams=self._streams,
            software=Software(self._config, self._directories, self._fabric.plan, client, informers),
        )

    def _dns(self, client: LocalClient, informers: Informers) -> list[Component]:
        address, cluster_ip = str(self._config.api_vpc_address), str(self._config.dns_address)

        async def listen() -> tuple[socket.socket, socket.socket]:
            return await self._fabric.run(
                lambda vpc: (vpc.router_receiver(address, DNS_PORT), vpc.router_listener(address, DNS_PORT))
            )

        config = DnsConfig(
            cluster_ip,
            ranges=tuple(self._config.ranges().values()),
            stub_domains=self._config.stub_domains,
            nameservers=self._config.upstream_nameservers,
        )
        service = DnsService(client, informers, cluster_ip=cluster_ip, address=address)
        return [service, DnsServer(informers, config, listen)]

    def _controller_config(self) -> ControllerConfig:
        return ControllerConfig(
            api_address=str(self._config.api_vpc_address),
            api_port=VPC_API_PORT,
            kubernetes_address=str(self._config.kubernetes_address),
            ca_bundle=self._pki.ca_certificate.read_text(),
            signer=CertificateSigner(self._pki),
            load_balancer_range=str(self._config.load_balancer_range),
            load_balancer_routes=self._fabric,
            disks=volume_disks(self._directories.state, sized=self._config.volumes == "image"),
            exports=Exports(export_disks(self._directories.state, sized=self._config.volumes == "image")),
        )

    def _faults(self, client: LocalClient, informers: Informers, machines: Machines) -> FaultController:
        def cgroup(node: str, pod: str, container: str) -> Path:
            cluster = self._config.name
            wanted = cgroups.container_cgroup(cluster, node, pod, container) if pod else ""
            return cgroups.present(wanted or cgroups.node_cgroup(cluster, node))

        return FaultController(client, informers, FaultConfig(self._directories, cgroup), machines)

    async def _nodes_ready(self, ready: ReadyNodes, step: Step, hampered: Collection[str]) -> None:
        # A node without a range for its pods is never Ready, nor may be one that a Fault is about; they say why.
        nodes = [node for node in self._config.nodes if node.state == "running" and node.pod_range is not None]
        wanted = {node.name for node in nodes} - set(hampered)
        await ready.wait(wanted, seconds=READY_SECONDS, count=lambda done, total: step("nodes", done, total))
