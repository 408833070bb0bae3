"""Has the kernel do what Faults say, when they say so, and heals them.

Level-triggered: each reconcile works out what the selections mean now, and the book in the runtime directory and the
kernel tell what is there already. A finalizer holds a deleted Fault until it is healed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from controlplane.api.errors import NotFound as NoSuchObject
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.config import ResolvedCluster
from controlplane.control import Refused as NodeRefused
from controlplane.directories import Directories
from controlplane.faults.definition import FAULT
from controlplane.faults.effects import Cgroup, Effects, Meant, is_gone
from controlplane.faults.model import Refused, Selection, Spec, read_spec
from controlplane.faults.selection import Places, Selections
from controlplane.faults.status import ENDED, is_active, read_time, shown_places, with_condition, written_time
from netsim.errors import MissingRequirement, NetsimError
from netsim.faults import Book, kill, require_shape

FINALIZER = "netsim.io/heal"
CHECK_SECONDS = 10.0
OFTEN_SECONDS = 1.0
"""For what others bring back by themselves: rules, routes, restarted containers."""
_OFTEN = ("ruleRemoved", "routeRemoved", "processPause")
_CRASHED = "netsim.io/crashed"
"""The annotation with the nodes that have been crashed."""
_POWER = ("nodeCrash", "nodeFreeze")
Result = TypeVar("Result")


class Power(Protocol):
    """The machines, as far as faults are about them."""

    config: ResolvedCluster

    async def crash(self, name: str) -> None: ...

    async def start(self, name: str) -> None: ...

    async def freeze(self, name: str) -> None: ...

    async def thaw(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class FaultConfig:
    """Where the cluster's files are, and its cgroups."""

    directories: Directories
    cgroup: Cgroup

    @property
    def book(self) -> Path:
        return self.directories.run / "faults"


class FaultController:
    """A component."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        config: FaultConfig,
        machines: Power,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._config = config
        self._machines = machines
        self._clock = clock
        self._book = Book(config.book)
        self._recorder = EventRecorder(client, "netsim-faults")
        self._selections = Selections(informers, config.directories, lambda: machines.config)
        self._faults = informers.of(FAULT)
        self._reconciler: Reconciler[str] = Reconciler("faults", self._reconcile)
        self._thread: ThreadPoolExecutor | None = None
        self._faults.add_handler(self._changed)
        self._selections.listen(self._others_changed)

    async def run(self) -> None:
        """Works until cancelled; what was done to the kernel stays."""
        await self._faults.wait_synced()
        await self._selections.wait_synced()
        for name in self._book.faults():
            self._reconciler.queue.add(name)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._reconciler.run(), name="faults")
                group.create_task(self._recorder.run(), name="fault-events")
        finally:
            if self._thread is not None:
                self._thread.shutdown(wait=True)
                self._thread = None

    def _changed(self, old: Object | None, new: Object | None) -> None:
        fault = new or old
        assert fault is not None, "a handler is given one of them"
        self._reconciler.queue.add(fault["metadata"]["name"])

    def _others_changed(self) -> None:
        for fault in self._faults.list():
            if is_active(fault):
                self._reconciler.queue.add(fault["metadata"]["name"])

    async def _reconcile(self, name: str) -> float | None:
        try:
            # Not the cached one: what it says has been done must not be done again.
            fault = await self._client.get(FAULT, name)
        except NoSuchObject:
            await self._kernel(self._book.bring_about, name, ())
            return None
        finalizers = fault["metadata"].get("finalizers", [])
        if "deletionTimestamp" in fault["metadata"]:
            if FINALIZER in finalizers:
                await self._heal(fault)
                await self._finalizers(name, [each for each in finalizers if each != FINALIZER])
            return None
        if FINALIZER not in finalizers:
            await self._finalizers(name, [*finalizers, FINALIZER])
            return None
        status = fault.get("status") or {}
        if status.get("phase") in ENDED and status.get("observedGeneration") == fault["metadata"]["generation"]:
            return None
        try:
            return await self._advance(fault, read_spec(fault["spec"]))
        except Refused as error:
            await self._fail(fault, error.reason, str(error))
        except MissingRequirement as error:
            await self._fail(fault, "KernelLacks", f"{error.what}; {error.remedy}")
        except (NetsimError, NodeRefused, OSError) as error:
            if is_gone(error):
                raise
            await self._fail(fault, "NotInjected", str(error))
        return None

    async def _advance(self, fault: Object, spec: Spec) -> float | None:
        """Brings about what is due at this time; returns when to look again."""
        status, now = fault.get("status") or {}, self._clock()
        again = status.get("phase") in ENDED or "startTime" not in status
        begins = now + spec.start if again else read_time(status["startTime"])
        ends = begins + spec.duration if spec.duration else None
        times = {"startTime": written_time(begins), "endTime": written_time(ends) if ends else None}
        if now < begins:
            await self._write(fault, {"phase": "Pending", **times, "places": None, "nodes": None})
            return begins - now
        if ends is not None and now >= ends:
            await self._heal(fault)
            self._recorder.event(fault, "Normal", "Healed", f"{spec.type} has lasted {spec.duration:g} s")
            conditions = with_condition(status, done=False, reason="Healed", message="its time is over", now=now)
            await self._write(fault, {"phase": "Healed", "conditions": conditions, "places": None, "nodes": None})
            return None
        require_shape(f"fault {fault['metadata']['name']}", delay=spec.delay, jitter=spec.jitter, loss=spec.loss)
        meant = Meant(*(self._read(each) for each in (spec.origin, spec.to, spec.target)))
        if not again and status.get("phase") == "Active" and spec.type == "nodeCrash":
            return await self._crash(fault, status.get("nodes", ()), ends)
        return await self._inject(fault, spec, meant, times)

    async def _inject(self, fault: Object, spec: Spec, meant: Meant, times: Mapping[str, Any]) -> float | None:
        name, now = fault["metadata"]["name"], self._clock()
        begins, ends = read_time(times["startTime"]), times["endTime"]
        places = list(dict.fromkeys(text for each in meant.all for text in each.texts))
        nodes = sorted({node.name for each in meant.all for node in each.nodes})
        active = {"phase": "Active", **times, "places": shown_places(places), "nodes": nodes}
        if spec.type in _POWER:
            # First, so that whoever comes after a crash of the daemon knows what to start again.
            left = set((fault.get("status") or {}).get("nodes", ())) - set(nodes)
            await self._write(fault, active)
            for node in left if spec.type == "nodeFreeze" else ():
                await self._machines.thaw(node)
            if spec.type == "nodeCrash":
                again = await self._crash(fault, nodes, read_time(ends) if ends else None)
                await self._told(fault, spec, active, places)
                return again
        half = spec.period / 2
        down = int((now - begins) / half) % 2 == 0
        effects = Effects(self._machines.config, self._config.cgroup)
        if spec.type == "processKill":
            return await self._kill(fault, spec, meant, active)
        await self._kernel(lambda: self._book.bring_about(name, effects.of(spec, meant, down=down)))
        for node in nodes if spec.type == "nodeFreeze" else ():
            await self._machines.freeze(node)
        # Of a pod that is there the named container may not be.
        nobody = spec.type == "processPause" and not effects.cgroups(spec, (meant.target or Places()).pods)
        await self._told(fault, spec, active, [] if meant.missing or nobody else places)
        waits = [read_time(ends) - now] if ends else []
        waits += [half - (now - begins) % half] if spec.type == "flap" else []
        return max(min([*waits, OFTEN_SECONDS if spec.type in _OFTEN else CHECK_SECONDS]), 0.001)

    async def _told(self, fault: Object, spec: Spec, active: Mapping[str, Any], places: Sequence[str]) -> None:
        before = fault.get("status") or {}
        reason, message = "Injected", f"{spec.type} at {_joined(places)}"
        if not places:
            reason, message = "NothingSelected", "nothing that is selected is there at this moment"
        conditions = with_condition(before, done=bool(places), reason=reason, message=message, now=self._clock())
        old: Mapping[str, Any] = next(iter(before.get("conditions", ())), {})
        if (old.get("reason"), old.get("message")) != (reason, message):
            self._recorder.event(fault, "Normal" if places else "Warning", reason, message)
        await self._write(fault, {**active, "conditions": conditions})

    async def _kill(self, fault: Object, spec: Spec, meant: Meant, active: Mapping[str, Any]) -> float | None:
        """Once; what is killed is not brought back by healing."""
        effects, pods = Effects(self._machines.config, self._config.cgroup), (meant.target or Places()).pods
        killed = await self._kernel(lambda: sum(kill(each) for each in effects.cgroups(spec, pods)))
        if not killed:
            named = f"no container {' or '.join(spec.containers)} of what is" if spec.containers else "nothing that is"
            raise Refused(f"{named} selected runs at this moment", "NothingSelected")
        message = f"killed {killed} processes of {_joined([pod.text for pod in pods])}"
        self._recorder.event(fault, "Normal", "Killed", message)
        now = self._clock()
        conditions = with_condition({}, done=True, reason="Killed", message=message, now=now)
        done = {"phase": "Healed", "endTime": written_time(now), "conditions": conditions}
        await self._write(fault, {**active, **done})
        return None

    async def _crash(self, fault: Object, nodes: Sequence[str], ends: float | None) -> float | None:
        """Once: a node that somebody starts meanwhile is left alone."""
        done = set((fault["metadata"].get("annotations") or {}).get(_CRASHED, "").split(","))
        for node in nodes:
            if node in done:
                continue
            if any(each.name == node and each.state == "running" for each in self._machines.config.nodes):
                await self._machines.crash(node)
            done.add(node)
            body = {"metadata": {"annotations": {_CRASHED: ",".join(sorted(done - {""}))}}}
            await self._client.patch(FAULT, fault["metadata"]["name"], body=body)
        return None if ends is None else max(ends - self._clock(), 0.001)

    async def _heal(self, fault: Object) -> None:
        """Undoes all that it has done; again is no error."""
        nodes = (fault.get("status") or {}).get("nodes", ())
        await self._kernel(self._book.bring_about, fault["metadata"]["name"], ())
        for node in nodes if fault["spec"]["type"] == "nodeFreeze" else ():
            await self._machines.thaw(node)
        for node in nodes if fault["spec"]["type"] == "nodeCrash" and is_active(fault) else ():
            if any(each.name == node and each.state == "crashed" for each in self._machines.config.nodes):
                await self._machines.start(node)
        if _CRASHED in (fault["metadata"].get("annotations") or {}):
            await self._client.patch(
                FAULT, fault["metadata"]["name"], body={"metadata": {"annotations": {_CRASHED: None}}}
            )

    async def _fail(self, fault: Object, reason: str, message: str) -> None:
        # As it is now: it may have come to something before it failed.
        fault = await self._client.get(FAULT, fault["metadata"]["name"])
        await self._heal(fault)
        self._recorder.event(fault, "Warning", reason, message)
        conditions = with_condition({}, done=False, reason=reason, message=message, now=self._clock())
        await self._write(fault, {"phase": "Failed", "conditions": conditions, "places": None, "nodes": None})

    async def _write(self, fault: Object, status: Mapping[str, Any]) -> None:
        """Changes what differs of the status; None takes a field away."""
        wanted = {**status, "observedGeneration": fault["metadata"]["generation"]}
        before = fault.get("status") or {}
        if any(before.get(field) != value for field, value in wanted.items()):
            try:
                name = fault["metadata"]["name"]
                await self._client.patch(FAULT, name, body={"status": wanted}, subresource="status")
            except NoSuchObject:
                return

    async def _finalizers(self, name: str, finalizers: list[str]) -> None:
        try:
            await self._client.patch(FAULT, name, body={"metadata": {"finalizers": finalizers or None}})
        except NoSuchObject:
            return

    def _read(self, selection: Selection | None) -> Places | None:
        return None if selection is None else self._selections.read(selection)

    async def _kernel(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Runs blocking work in the one thread for it, which is made for the first."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="faults")
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*arguments))


def _joined(places: Sequence[str]) -> str:
    return ", ".join(places[:5]) + (f" and {len(places) - 5} more" if len(places) > 5 else "")
