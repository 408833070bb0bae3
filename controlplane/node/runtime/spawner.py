"""The thread that starts conmon and the OCI runtime.

The thread has the cluster's mount namespace, a slave of the host's, which what it starts inherits. So the
overlay that is a container's root is mounted here for the moment of its creation, volumes for as long as they are used,
and the host never sees them. And where cgroup v1 and v2 are both mounted, which `crun` refuses, the v2 mount is taken
away here. One spawner per cluster serves all its nodes; further threads in the same namespace mount volumes meanwhile.

The runtime is executed from a sealed copy in memory: crun makes such a copy of itself at each start
(against CVE-2019-5736) unless it already runs from one, which saves 2 ms a container.
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from controlplane.node.errors import RuntimeFailure
from controlplane.node.runtime.child import Child, spawn
from controlplane.node.runtime.concessions import Concessions
from netsim import syscalls
from netsim.errors import NetsimError
from netsim.mountspace import MountSpace

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

CGROUP_ROOT = Path("/sys/fs/cgroup")
FILE_THREADS = 2
MOUNT_THREADS = 2
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Spawner:
    """Starts programs where containers can be made, and does the file work around them off the loop.

    With a `pin` the mounts outlive this process.
    """

    def __init__(self, pin: Path | None = None) -> None:
        self.conmon = _program("conmon", "conmon")
        self.runtime = shutil.which("crun") or _program("runc", "crun (or runc)")
        self.runtime_name = Path(self.runtime).name
        self.environment = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")}
        self.concessions = Concessions()
        self._threads = ThreadPoolExecutor(1, "container-spawner")
        self._mounters = ThreadPoolExecutor(MOUNT_THREADS, "container-mounts")
        self._space = MountSpace(pin, _hide_unified_cgroups)
        self._files = ThreadPoolExecutor(FILE_THREADS, "container-files")
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._sealed: int | None = None

    @functools.cached_property
    def runtime_version(self) -> str:
        """Such as "1.8.1", as the program itself says."""
        out = subprocess.run(
            [self.runtime, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
        words = out.split("\n", 1)[0].split()
        return words[-1] if words else "unknown"

    @property
    def runtime_path(self) -> str:
        """What to execute for the OCI runtime: the sealed copy, for as long as this process lives."""
        if self.runtime_name != "crun":
            return self.runtime
        if self._sealed is None:
            self._sealed = _sealed_copy(self.runtime)
        return f"/proc/{os.getpid()}/fd/{self._sealed}"

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        descriptors: Mapping[int, int] | None = None,
        environment: Mapping[str, str] | None = None,
        overlay: tuple[str, str] | None = None,
    ) -> Child:
        """Starts a program (its full path first) from the thread; the caller reaps it.

        `descriptors` maps the child's numbers 0 to 3 to ours; those below the highest that are not given are
        /dev/null. `overlay`, a target and its mount data, is mounted for it first; `unmount` takes it away again.
        """
        wanted = descriptors or {}
        given = [wanted.get(number, self._null) for number in range(max([2, *wanted]) + 1)]
        variables = {**self.environment, **(environment or {})}

        def start() -> Child:
            self._space.enter()
            if overlay is not None:
                # An image may have device nodes of the host's disks in it, which only device rules keep closed.
                flags = 0 if self.concessions.device_rules else syscalls.MS_NODEV
                syscalls.mount("overlay", overlay[0], flags=flags, filesystem="overlay", data=overlay[1])
            return spawn(argv, variables, held)

        # Copies: the caller closes its own when it is cancelled, and the thread may not have come to this yet.
        held = [os.dup(descriptor) for descriptor in given]
        started = asyncio.get_running_loop().run_in_executor(self._threads, start)
        started.add_done_callback(lambda _: _close_all(held))
        try:
            return await asyncio.shield(started)
        except asyncio.CancelledError:
            started.add_done_callback(self._abandon)
            raise

    async def inside(self, function: Callable[[], T]) -> T:
        """Runs `function` in the thread, so that it mounts where the next program sees it and the host does not."""

        return await self.within(self._threads, function)

    async def mounts(self, function: Callable[[], T]) -> T:
        """Runs blocking work that mounts, or that looks into what is mounted, in a thread beside."""
        return await self.within(self._mounters, function)

    async def within(self, threads: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        """Runs `function` in a thread of somebody's own, which then is in the mount namespace for good."""

        def call() -> T:
            self._space.enter()
            return function()

        return await asyncio.get_running_loop().run_in_executor(threads, call)

    def close(self) -> None:
        """Ends the threads after what they were given; what is mounted stays if the namespace is pinned."""
        for pool in (self._threads, self._mounters, self._files):
            pool.shutdown(wait=True)
        self._space.close()
        os.close(self._null)

    def end(self, child: Child) -> None:
        """Kills a child that nobody waits for any more, and reaps it, soon."""
        child.kill()
        self._files.submit(child.wait)

    def concede(self, more: Concessions, said: str) -> None:
        """Has containers made so from now on, and says it if it is new; `said` is what the runtime complained of."""
        before, self.concessions = self.concessions, self.concessions.joined(more)
        if self.concessions != before:
            log.warning(self.concessions.words(), extra={"refused": said})

    def unmount(self, target: str) -> None:
        """Takes a mount away from the thread's namespace, soon; absent is no error."""

        def take_away() -> None:
            with suppress(NetsimError):
                syscalls.unmount(target)

        self._threads.submit(take_away)

    async def files(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs blocking file work off the event loop."""
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._files, call)

    def _abandon(self, started: asyncio.Future[Child]) -> None:
        """Ends what was started for a caller who has gone."""
        if started.cancelled() or started.exception() is not None:
            return
        self.end(started.result())


@functools.cache
def shared_spawner(directory: Path | None = None) -> Spawner:
    """The process's one spawner for a cluster with that run directory; without one its mounts end with the process."""
    return Spawner(directory / "mounts" / "pin" if directory is not None else None)


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RuntimeFailure(f"the program {name} is not installed; the Debian package is {package}")
    return found


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _hide_unified_cgroups() -> None:
    unified = CGROUP_ROOT / "unified"
    if (unified / "cgroup.procs").exists():
        syscalls.unmount(str(unified))


def _sealed_copy(program: str) -> int:
    writable = os.memfd_create(Path(program).name, os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(writable, Path(program).read_bytes())
    fcntl.fcntl(writable, fcntl.F_ADD_SEALS, _SEALS)
    # What is open for writing cannot be executed.
    sealed = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
    os.close(writable)
    return sealed
