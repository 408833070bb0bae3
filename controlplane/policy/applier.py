"""The policies of one node: keeps the kernel's rules and sets equal to what NetworkPolicies ask for.

It is also the gate that pods of the node pass before their containers start: `guard` returns when what policies say
of a pod is in the kernel. Without a policy there is no thread, no rule and no set.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from controlplane.api.types import Object
from controlplane.client.applyloop import ApplyLoop, Pace
from controlplane.client.recorder import EventRecorder
from controlplane.policy import kernel
from controlplane.policy.denials import DenialLog, Denials
from controlplane.policy.errors import PolicyNotApplied
from controlplane.policy.restore import TABLE
from controlplane.policy.rules import DISPENSABLE, NodePolicy, compile_node
from controlplane.policy.table import PolicyTable
from netsim import changes, sysctl
from netsim.errors import KernelError, NetsimError, RulesRejected
from netsim.namespace import NamespaceExecutor

log = logging.getLogger(__name__)

P = ParamSpec("P")
Result = TypeVar("Result")

PACE = Pace(debounce=0.003, pause_per_sync=1.0, longest_pause=0.05)
CHECK_SECONDS = 30.0
GUARD_SECONDS = 10.0
OTHERS_SECONDS = 5.0
CHANGES_FILE = "policy.changes.json"


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """What an applier needs to know of its node: its pinned network namespace, and a directory for what is shown.

    Every `check_seconds` without a change it is looked whether the rules are still there, and met first.
    """

    node_name: str
    namespace: Path
    run_directory: Path
    check_seconds: float = CHECK_SECONDS


class NodePolicies:
    """A component, and the `PodGuard` of the node's agent. `table` is shared by all nodes of the process.

    `recorder` is told, about the node, when policies cannot be enforced.
    """

    def __init__(
        self,
        table: PolicyTable,
        config: PolicyConfig,
        *,
        denials: DenialLog | None = None,
        recorder: EventRecorder | None = None,
    ) -> None:
        self.config = config
        self._recorder = recorder
        self.applied_version = -1
        """The version of the table that the kernel holds."""
        self.after: Callable[[], Awaitable[object]] | None = None
        """Waited for, some seconds, before the first rule is written: it returns when another has written its own who
        puts jumps first in the built-in chains too."""
        self._table = table
        self._denials = Denials(config.node_name, table, denials) if denials is not None else None
        self._executor: NamespaceExecutor | None = None
        self._loop = ApplyLoop(PACE, config.check_seconds, sync=self._sync, check=self._check, failed=self._failed)
        self._settled = asyncio.Condition()
        self._failure: NetsimError | None = None
        self._failures = 0
        self._applied: NodePolicy | None = None
        self._lacking: set[str] = set()
        self._recheck = False

    async def run(self) -> None:
        """Keeps the rules until cancelled. They stay in the kernel afterwards, so that nothing passes meanwhile."""
        self._applied, self.applied_version = None, -1
        self._table.listen(self._loop.wake.set)
        recording = asyncio.ensure_future(self._recorder.run()) if self._recorder is not None else None
        try:
            await self._table.wait_synced()
            await self._wait_for_others()
            await self._loop.run()
        finally:
            self._table.unlisten(self._loop.wake.set)
            if recording is not None:
                recording.cancel()
            await self._let_go()

    async def guard(self, pod: Object, addresses: Sequence[str]) -> None:
        """Returns when what policies say of the pod is enforced; at once if no policy selects it.

        Raises `PolicyNotApplied` when that cannot be had, so that the pod does not start unprotected.
        """
        try:
            async with asyncio.timeout(GUARD_SECONDS):
                # Before they are listed, no policy would be known to select it.
                await self._table.wait_synced()
                if self._table.note(pod, addresses):
                    await self._until_applied(self._table.version)
        except TimeoutError as error:
            raise PolicyNotApplied(f"network policies were not applied within {GUARD_SECONDS:.0f} s") from error

    async def _until_applied(self, wanted: int) -> None:
        failures = self._failures
        async with self._settled:
            await self._settled.wait_for(lambda: self.applied_version >= wanted or self._failures > failures)
        if self.applied_version < wanted:
            raise PolicyNotApplied(f"network policies cannot be applied: {self._failure}") from self._failure

    def recheck(self) -> None:
        """Has it looked at soon whether the jump is still the first rule: another wrote to the built-in chains."""
        self._recheck = True
        self._loop.wake.set()

    async def _wait_for_others(self) -> None:
        if self.after is None:
            return
        try:
            async with asyncio.timeout(OTHERS_SECONDS):
                await self.after()
        except TimeoutError:
            log.warning("other rules are not there yet", extra={"node": self.config.node_name})

    async def _check(self) -> None:
        self._recheck = True

    async def _sync(self) -> None:
        version = self._table.version
        wanted = compile_node(self._table.pods(self.config.node_name), self._table.members, without=self._lacking)
        # Should the write fail or be cut off, what the kernel holds is unknown.
        before, self._applied = self._applied, None
        if before is not None and self._recheck:
            before = await self._checked(before)
        self._recheck = False
        try:
            if before is None:
                found = await self._inside(kernel.adopt, wanted)
                await self._tell(None if found is not None else NodePolicy(), wanted)
            elif before != wanted:
                await self._inside(kernel.change, before, wanted)
                await self._tell(before, wanted)
        except RulesRejected as error:
            self._do_without(error)
            return
        self._applied = wanted
        await self._watch_denials(wanted)
        async with self._settled:
            self.applied_version, self._failure = version, None
            self._settled.notify_all()

    def _do_without(self, error: RulesRejected) -> None:
        """Has the next sync leave out what the kernel refused, if it can be left out."""
        words = error.line.split()
        word = next((each for each in DISPENSABLE if each in words and each not in self._lacking), None)
        if word is None:
            raise error
        log.warning("rules left out", extra={"node": self.config.node_name, "lacks": word, "so": DISPENSABLE[word]})
        self._lacking.add(word)
        self._loop.wake.set()

    async def _checked(self, applied: NodePolicy) -> NodePolicy | None:
        """`applied` if the kernel still has it where it belongs, else None."""
        if not applied.chains or await self._inside(kernel.in_place, applied):
            return applied
        log.warning("policy rules were moved or flushed by somebody", extra={"node": self.config.node_name})
        return None

    async def _failed(self, error: NetsimError, retry: float) -> None:
        self._applied = None
        log.warning("policies not applied", extra={"node": self.config.node_name, "error": str(error), "retry": retry})
        if self._recorder is not None:
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.config.node_name}}
            self._recorder.event(node, "Warning", "NetworkPolicyNotEnforced", str(error))
        async with self._settled:
            self._failure = error
            self._failures += 1
            self._settled.notify_all()

    async def _watch_denials(self, applied: NodePolicy) -> None:
        """Listens for denied packets while something can be denied, and lets go of the thread when nothing can."""
        if not applied.chains:
            await self._let_go()
        elif self._denials is not None:
            await self._denials.watch(applied, self._inside)

    async def _let_go(self) -> None:
        if self._denials is not None:
            self._denials.close()
        if self._executor is not None:
            executor, self._executor = self._executor, None
            await asyncio.to_thread(executor.close)

    async def _tell(self, before: NodePolicy | None, wanted: NodePolicy) -> None:
        old = before if before is not None else NodePolicy()
        try:
            await self._inside(
                changes.record,
                self.config.run_directory / CHANGES_FILE,
                {TABLE: old.chains} if before is not None else None,
                {TABLE: wanted.chains},
                sets_before={name: each.members for name, each in old.sets.items()},
                sets_after={name: each.members for name, each in wanted.sets.items()},
            )
        except KernelError as error:
            log.warning("what changed cannot be shown", extra={"node": self.config.node_name, "error": str(error)})

    async def _inside(self, function: Callable[P, Result], *arguments: P.args, **options: P.kwargs) -> Result:
        """Runs blocking work in the node's namespace, in a thread that is made for the first of it."""
        if self._executor is None:
            self._executor = NamespaceExecutor(self.config.namespace, f"policy-{self.config.node_name}")
            await self._executor.run(_prepare)
        return await self._executor.run(function, *arguments, **options)


def _prepare() -> None:
    """Has what one pod sends to another through the bridge pass the rules."""
    if sysctl.find("net.bridge.bridge-nf-call-iptables") is None:
        log.warning("no br_netfilter: policies do not hold between pods of one node")
        return
    sysctl.ensure("net.bridge.bridge-nf-call-iptables", 1)
