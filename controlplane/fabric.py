"""The VPC of a running cluster, worked on by one thread, and the plans that a configuration asks of it.

What the kernel is asked to do is `netsim.vpc`'s; this only keeps the event loop from waiting for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from controlplane.config import ResolvedCluster, ResolvedNode
from netsim.vpc import NodePlan, SubnetPlan, Vpc, VpcPlan

Result = TypeVar("Result")


class Fabric:
    """The VPC, worked on by one thread so that the loop never waits for the kernel."""

    def __init__(self, plan: VpcPlan) -> None:
        self.plan = plan
        self._vpc = Vpc(plan)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vpc")

    async def run(self, work: Callable[[Vpc], Result]) -> Result:
        """Awaits `work`, done on the VPC after what was asked for before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._vpc)

    async def set_load_balancers(self, routes: Mapping[str, Sequence[str]]) -> None:
        """Routes each load-balancer address to the nodes with the given addresses."""
        await self.run(lambda vpc: vpc.set_load_balancers(routes))

    async def ensure_node(self, node: ResolvedNode) -> None:
        """Plugs a node in."""
        await self.run(lambda vpc: vpc.ensure_node(node_plan(node)))

    async def restore_way_out(self, node: ResolvedNode) -> None:
        """Gives a node its routes back if its link has come up again."""
        await self.run(lambda vpc: vpc.restore_way_out(node_plan(node)))

    async def delete_node(self, name: str) -> None:
        """Unplugs a node; absent is no error."""
        await self.run(lambda vpc: vpc.delete_node(name))

    def close(self) -> None:
        """Ends the thread and closes its sockets; the VPC stays."""
        self._thread.submit(self._vpc.close)
        self._thread.shutdown(wait=True)


def vpc_plan(config: ResolvedCluster) -> VpcPlan:
    """The VPC that a configuration asks for."""
    return VpcPlan(
        cluster=config.name,
        subnets=tuple(
            SubnetPlan(
                subnet.name,
                str(subnet.range),
                str(subnet.gateway),
                str(subnet.pod_range or ""),
                region=subnet.region,
                secondary_ranges=tuple(map(str, subnet.secondary.values())),
                egress=subnet.egress == "nat",
            )
            for subnet in config.subnets
        ),
        service_range=str(config.service_range),
        load_balancer_range=str(config.load_balancer_range),
        api_address=str(config.api_vpc_address),
        mtu=config.mtu,
        offloads=config.offloads,
        overlay=config.pod_network == "vxlan",
        firewall=config.firewall,
        routes=config.routes,
        paths=config.paths,
    )


def node_plan(node: ResolvedNode) -> NodePlan:
    """A node's place in the VPC."""
    return NodePlan(
        node.name, node.subnet, str(node.address), str(node.pod_range or ""), zone=node.zone, tags=node.tags
    )
