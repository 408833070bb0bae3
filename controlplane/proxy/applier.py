"""The Service proxy of one node: keeps the kernel's rules equal to what Services and EndpointSlices ask for.

The first sync reads what the node's namespace holds and writes everything, which adopts the rules of a former process
without a moment of broken traffic. Later syncs write only chains that changed. A refusal, or a canary chain that is
gone because somebody flushed the tables, makes the next sync a full one.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from controlplane.client.applyloop import ApplyLoop, Pace
from controlplane.client.informer import Informers
from controlplane.proxy import conntrack, restore
from controlplane.proxy.endpoints import choose
from controlplane.proxy.health import HealthServers, listening_socket
from controlplane.proxy.model import ServiceKey
from controlplane.proxy.nfacct import ensure_counters
from controlplane.proxy.rules import NFACCT_LOCALHOST, LocalTraffic, PortRules, Style
from controlplane.proxy.ruleset import NFACCT_INVALID, NodeRules, Ruleset, build, jumps
from controlplane.proxy.table import ServiceTable
from netsim import changes, firewall, sysctl
from netsim.errors import KernelError, NetsimError, NotFound
from netsim.namespace import NamespaceExecutor

log = logging.getLogger(__name__)

P = ParamSpec("P")
Result = TypeVar("Result")

PACE = Pace(debounce=0.015, pause_per_sync=4.0, longest_pause=0.1)
"""A burst of changes costs a fifth of one core."""
FLUSH_CHECK_SECONDS = 30.0
LARGE_CLUSTER_ENDPOINTS = 1000

_FrontendMap = dict[conntrack.Frontend, frozenset[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """What one node's proxy needs to know of its node.

    `namespace` is the node's pinned network namespace. `non_masquerade` are the ranges in which a pod is seen with its
    own address; what it sends elsewhere gets the node's. None leaves that to somebody else. Every `flush_check_seconds`
    without a change it is looked whether somebody flushed the tables. `changes_file` is told what was changed last.
    """

    node_name: str
    namespace: Path
    node_ip: str
    local_traffic: LocalTraffic
    zone: str = ""
    non_masquerade: tuple[str, ...] | None = None
    flush_check_seconds: float = FLUSH_CHECK_SECONDS
    changes_file: Path | None = None


class ServiceProxy:
    """A component. `table` is shared by the proxies of one process; without one it makes its own.

    `rewritten` is called when all rules were written, jumps in the built-in chains too.
    """

    def __init__(
        self,
        informers: Informers,
        config: ProxyConfig,
        *,
        table: ServiceTable | None = None,
        rewritten: Callable[[], None] | None = None,
    ) -> None:
        self.config = config
        self._rewritten = rewritten
        self.synced = asyncio.Event()
        """Set while the kernel holds what was asked for when the last sync began."""
        self._table = table if table is not None else ServiceTable(informers)
        self._executor: NamespaceExecutor | None = None
        self._health = HealthServers(self._listen)
        self._node = NodeRules(non_masquerade=config.non_masquerade)
        self._style = Style(config.local_traffic)
        self._prepared = False
        self._changed: set[ServiceKey] = set()
        self._loop = ApplyLoop(
            PACE, config.flush_check_seconds, sync=self._sync, check=self._check, failed=self._failed
        )
        self._applied: Ruleset | None = None
        self._rules: dict[ServiceKey, list[PortRules]] = {}
        self._endpoint_counts: dict[ServiceKey, int] = {}
        self._udp: dict[ServiceKey, _FrontendMap] = {}
        self._health_ports: dict[ServiceKey, tuple[int, int]] = {}

    async def run(self) -> None:
        """Keeps the rules until cancelled. They stay in the kernel afterwards: traffic outlives the daemon."""
        self._executor = NamespaceExecutor(self.config.namespace, f"proxy-{self.config.node_name}")
        self._applied = None
        self.synced.clear()
        self._table.listen(self._on_change)
        try:
            await self._table.wait_synced()
            await self._loop.run()
        finally:
            self._table.unlisten(self._on_change)
            self._health.close()
            await asyncio.to_thread(self._executor.close)
            self._executor = None

    def _on_change(self, key: ServiceKey) -> None:
        self._changed.add(key)
        self.synced.clear()
        self._loop.wake.set()

    async def _check(self) -> None:
        if not restore.has_canary(await self._inside(firewall.save)):
            log.warning("rules were flushed by somebody", extra={"node": self.config.node_name})
            self._applied = None

    async def _failed(self, error: NetsimError, retry: float) -> None:
        self._applied = None
        self.synced.clear()
        log.warning("rules not applied", extra={"node": self.config.node_name, "error": str(error), "retry": retry})

    async def _sync(self) -> None:
        if not self._prepared:
            await self._inside(self._prepare)
        full = self._applied is None
        changed = set(self._table.keys()) | set(self._rules) if full else self._changed
        self._changed = set()
        stale_udp = self._read(changed, full)
        wanted = build(self._node, [rules for key in sorted(self._rules) for rules in self._rules[key]])
        # Should the write fail or be cut off, what the kernel holds is unknown.
        before, self._applied = self._applied, None
        if before is None:
            await self._inside(self._write_all, wanted)
            if self._rewritten is not None:
                self._rewritten()
        else:
            text = restore.changes(before, wanted)
            if text:
                await self._inside(firewall.restore, text)
        self._applied = wanted
        await self._tell(before, wanted)
        if stale_udp:
            await self._forget_udp(stale_udp)
        await self._health.update({port: (key, count) for key, (port, count) in self._health_ports.items() if port})
        if not self._changed:
            self.synced.set()

    async def _tell(self, before: Ruleset | None, wanted: Ruleset) -> None:
        if self.config.changes_file is None:
            return
        try:
            await self._inside(changes.record, self.config.changes_file, before, wanted)
        except KernelError as error:
            log.warning("what changed cannot be shown", extra={"node": self.config.node_name, "error": str(error)})

    def _prepare(self) -> None:
        """Sets the node's sysctls and learns what its kernel can do; runs in the namespace."""
        sysctl.ensure("net.ipv4.conf.all.route_localnet", 1)
        try:
            # Without it, the answer of a pod to its neighbour behind a Service would pass the bridge untranslated.
            sysctl.ensure("net.bridge.bridge-nf-call-iptables", 1)
        except NotFound:
            log.warning("no br_netfilter: pods of one node may not reach each other through Services")
        counters = ensure_counters(NFACCT_INVALID, NFACCT_LOCALHOST)
        self._node = NodeRules(
            non_masquerade=self.config.non_masquerade,
            conntrack_liberal=sysctl.find("net.netfilter.nf_conntrack_tcp_be_liberal") not in (None, "0"),
            nfacct=counters,
        )
        self._style = Style(self.config.local_traffic, nfacct=counters)
        self._prepared = True

    def _read(self, changed: set[ServiceKey], full: bool) -> _FrontendMap:
        """Brings `_rules` and its companions up to date; returns the UDP front ends with connections to forget."""
        for key in changed:
            endpoints = self._table.endpoints(key)
            self._endpoint_counts[key] = sum(len(endpoints.get(port.key, ())) for port in self._table.ports(key))
        comments = sum(self._endpoint_counts.values()) <= LARGE_CLUSTER_ENDPOINTS
        if comments != self._style.comments:
            self._style = Style(self.config.local_traffic, comments=comments, nfacct=self._style.nfacct)
            changed = changed | set(self._rules)
        stale: _FrontendMap = {}
        for key in changed:
            self._read_one(key)
            stale |= self._udp_changes(key, full)
        return stale

    def _read_one(self, key: ServiceKey) -> None:
        ports = self._table.ports(key)
        if not ports:
            self._rules.pop(key, None)
            self._endpoint_counts.pop(key, None)
            self._health_ports.pop(key, None)
            return
        config = self.config
        self._rules[key] = self._table.rules(key, self._style, config.node_name, config.zone, config.node_ip)
        if ports[0].health_check_node_port:
            endpoints = self._table.endpoints(key)
            here = {
                e.ip for p in ports for e in endpoints.get(p.key, ()) if e.ready and e.node_name == config.node_name
            }
            self._health_ports[key] = (ports[0].health_check_node_port, len(here))
        else:
            self._health_ports.pop(key, None)

    def _udp_changes(self, key: ServiceKey, full: bool) -> _FrontendMap:
        before = self._udp.pop(key, {})
        now: _FrontendMap = {}
        for port in self._table.ports(key):
            if port.protocol == "udp":
                endpoints = self._table.endpoints(key).get(port.key, ())
                chosen = choose(port, endpoints, self.config.node_name, self.config.zone)
                targets = frozenset((endpoint.ip, endpoint.port) for endpoint in chosen.reachable)
                now |= {(address, port.port): targets for address in port.addresses}
                if port.node_port:
                    now["", port.node_port] = targets
        if now:
            self._udp[key] = now
        gone: _FrontendMap = {frontend: frozenset() for frontend in before if frontend not in now}
        return gone | {
            frontend: targets
            for frontend, targets in now.items()
            if full or not before.get(frontend) or before[frontend] - targets
        }

    async def _forget_udp(self, stale: _FrontendMap) -> None:
        try:
            await self._inside(conntrack.forget_stale, stale)
        except NetsimError as error:
            # The rules are right; only clients that never change their port may keep an old way for a while.
            log.warning("stale UDP entries kept", extra={"node": self.config.node_name, "error": str(error)})

    def _write_all(self, wanted: Ruleset) -> None:
        saved = firewall.save()
        missing = restore.missing_jumps(saved, jumps(self._node))
        firewall.restore(restore.full(wanted, restore.parse_chains(saved), missing))

    async def _inside(self, function: Callable[P, Result], *arguments: P.args, **options: P.kwargs) -> Result:
        """Runs blocking work in the node's namespace."""
        assert self._executor is not None, "only while `run` does"
        return await self._executor.run(function, *arguments, **options)

    async def _listen(self, port: int) -> socket.socket:
        return await self._inside(listening_socket, port)
