"""A small control plane and one node, in a process that can be told to die: `python -m tests.kernel.node.dying`.

It brings a claim and its pod up, or down, and ends with 0 when that is done. With `--die-at N` it kills itself right
before the N-th effect on the outside that has to do with storage: a change of the files of disks, of volumes or of what
is staged, each part of a disk's formatting, a loop device attached or detached, a mount, the start of a container, or a
write of an object.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controlplane.api.errors import AlreadyExists, NotFound
from controlplane.api.kinds import (
    CONFIG_MAP,
    EVENT,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    VOLUME_ATTACHMENT,
)
from controlplane.client.informer import Informers
from controlplane.client.local import LocalClient
from controlplane.controllers.attach_detach import AttachDetach
from controlplane.controllers.storage_classes import StorageClasses
from controlplane.controllers.volume_binder import VolumeBinder
from controlplane.controllers.volume_protection import VolumeProtection
from controlplane.controllers.volume_provisioner import Provisioner
from controlplane.directories import Directories, export_disks, volume_disks
from controlplane.node import NodeAgent, NodeConfig
from controlplane.node.runtime.spawner import Spawner
from controlplane.scheduler import Scheduler
from controlplane.server.assembly import open_registry
from netsim import loop, syscalls
from netsim.exports import Exports
from netsim.namespace import namespace_path

NODE_NAME = "node-1"
SECONDS = 60.0
STORAGE = (PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, VOLUME_ATTACHMENT)
WRITTEN = (*STORAGE, POD, NODE)
FILE_EFFECTS = frozenset({"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"})
WRITES = "[ -f /v/kept ] || echo kept > /v/kept; trap 'exit 0' TERM; sleep inf & wait"


class Effects:
    """Counts what is done to the outside, and kills the process before the one that it was told."""

    def __init__(self, die_at: int) -> None:
        self._numbers = itertools.count(1)
        self._die_at = die_at
        self.done = 0
        self.active = False

    def one(self) -> None:
        if not self.active:
            return
        self.done = next(self._numbers)
        if self.done == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(self, places: tuple[str, ...]) -> None:
        """Notes changes of files below `places`, mounts there, and writes of storage objects."""

        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            creates = event == "open" and arguments[2] & os.O_CREAT
            if (event in FILE_EFFECTS or creates) and str(arguments[0]).startswith(places):
                self.one()

        sys.addaudithook(audit)
        syscalls.mount = self._before(syscalls.mount, lambda _source, target, *_, **__: target.startswith(places))
        syscalls.unmount = self._before(syscalls.unmount, lambda target, *_, **__: target.startswith(places))
        # The kernel calls that no audit event tells of.
        os.copy_file_range = self._before(os.copy_file_range, lambda *_, **__: True)
        loop._attached = self._before(loop._attached, lambda *_, **__: True)
        loop.Loop.clear = self._before(loop.Loop.clear, lambda *_: True)  # type: ignore[method-assign]
        Spawner.spawn = self._before(Spawner.spawn, lambda *_, **__: True)  # type: ignore[method-assign]
        for verb in ("create", "update", "patch", "delete"):
            write = getattr(LocalClient, verb)
            setattr(LocalClient, verb, self._before(write, lambda _client, kind, *_, **__: kind in WRITTEN))

    def _before(self, function: Callable[..., Any], counts: Callable[..., bool]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if counts(*arguments, **options):
                self.one()
            return function(*arguments, **options)

        return wrapped


class Plane:
    """The components, on the cluster's own directories."""

    def __init__(self, client: LocalClient, directories: Directories) -> None:
        self.client = client
        self.informers = Informers(client)
        self._directories = directories
        self._events = self.informers.of(EVENT)
        disks, exports = volume_disks(directories.state), Exports(export_disks(directories.state))
        provisioner = Provisioner(client, self.informers, disks, exports)
        config = NodeConfig(
            name=NODE_NAME,
            cluster=directories.name,
            address="10.128.0.11",
            pod_cidr="10.44.1.0/24",
            namespace=namespace_path(f"{directories.name}-{NODE_NAME}"),
            state_directory=directories.state,
            run_directory=directories.run,
        )
        self._agent = NodeAgent(client, self.informers, config)
        self._components: list[Any] = [
            self.informers,
            StorageClasses(client, self.informers),
            VolumeBinder(client, self.informers, provisioner),
            VolumeProtection(client, self.informers),
            AttachDetach(client, self.informers),
            Scheduler(client, self.informers),
            self._agent,
        ]

    async def while_running(self, work: Callable[[], Any]) -> None:
        running = [asyncio.ensure_future(component.run()) for component in self._components]
        working = asyncio.ensure_future(work())
        try:
            done, _ = await asyncio.wait({working, *running}, timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if not working.done():
                found = [(one["reason"], one["message"]) for one in self._events.list()]
                kinds = (*STORAGE, POD, NODE)
                left = [one for kind in kinds for one in (await self.client.list(kind)).items]
                raise TimeoutError(f"not within {SECONDS} s: {found[-20:]}\nleft: {left}\n{self._remains()}")
        finally:
            for task in (working, *running):
                task.cancel()
            await asyncio.gather(working, *running, return_exceptions=True)

    async def up(self) -> None:
        claim = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Mi"}}}}
        claim["spec"]["storageClassName"] = "standard"
        await self.ensure(PERSISTENT_VOLUME_CLAIM, {"metadata": {"name": "data"}, **claim})
        container = {
            "name": "c",
            "image": "busybox",
            "command": ["sh", "-c", WRITES],
            "volumeMounts": [
                {"name": "v", "mountPath": "/v"},
                {"name": "v", "mountPath": "/part", "subPath": "a/b"},
                {"name": "m", "mountPath": "/m"},
                {"name": "e", "mountPath": "/e"},
            ],
        }
        volumes = [
            {"name": "v", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "e", "emptyDir": {}},
        ]
        spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}
        await self.ensure(POD, {"metadata": {"name": "user"}, "spec": spec})
        pods = self.informers.of(POD)
        await self._until(lambda: _is_ready(pods.get("user", "default")))

    async def down(self) -> None:
        for kind, name in ((POD, "user"), (PERSISTENT_VOLUME_CLAIM, "data")):
            try:
                await self.client.delete(kind, name, "default")
            except NotFound:
                continue
        kinds = (POD, PERSISTENT_VOLUME_CLAIM, PERSISTENT_VOLUME, VOLUME_ATTACHMENT)
        informers = [self.informers.of(kind) for kind in kinds]
        for informer in informers:
            await informer.wait_synced()
        await self._until(
            lambda: not any(informer.list() for informer in informers) and not any(map(_entries, self._places()))
        )

    def _places(self) -> tuple[Path, ...]:
        run = self._directories.run / "nodes" / NODE_NAME
        return run / "staged", run / "volumes", self._directories.state / "pods" / NODE_NAME

    def _remains(self) -> str:
        """What is in the places that shall be empty, what the pods' containers are, and what is mounted there."""
        run = self._directories.run / "nodes" / NODE_NAME
        files = [str(file) for place in (*self._places(), run) for file in sorted(place.rglob("*"))]
        argv = ["nsenter", f"--mount={self._directories.run}/mounts/pin", "cat", "/proc/self/mounts"]
        mounts = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout.splitlines()
        return "\n".join([*dict.fromkeys(files), *(line for line in mounts if str(self._directories.run) in line)])

    async def ensure(self, kind: Any, obj: Any) -> None:
        try:
            await self.client.create(kind, obj, "default")
        except AlreadyExists:
            return

    async def _until(self, seen: Callable[[], bool]) -> None:
        # A directory is looked at too, of which nobody tells.
        while not seen():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _entries(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []


def _is_ready(pod: Any) -> bool:
    conditions = ((pod or {}).get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


async def run(cluster: str, phase: str, die_at: int) -> None:
    directories = Directories(cluster)
    effects = Effects(die_at)
    run = directories.run / "nodes" / NODE_NAME
    state = (directories.state / "volumes", directories.state / "nodes" / NODE_NAME, directories.state / "pods")
    places = tuple(map(str, (*state, run / "staged", run / "volumes")))
    effects.hook(places)
    async with open_registry(directories.database) as registry:
        plane = Plane(LocalClient(registry), directories)
        await plane.ensure(CONFIG_MAP, {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "none"}})

        async def work() -> None:
            if phase == "down-dying":
                await plane.up()
            effects.active = die_at > 0
            await (plane.up() if phase == "up" else plane.down())

        await plane.while_running(work)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cluster")
    parser.add_argument("phase", choices=("up", "down", "down-dying"))
    parser.add_argument("--die-at", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.cluster, arguments.phase, arguments.die_at))
