"""Containers: created under conmon and an OCI runtime, watched, adopted, removed.

conmon keeps a container's standard streams, writes its log in the CRI format and its exit status into a
file, and outlives this process. So nothing is lost when the daemon is killed: the next one reads the
bundles, and the pidfd of each conmon says when a container has ended.

Where files say it, no program is asked: a started container has no `exec.fifo` any more, `exit` is the
exit status, and starting is one byte into that fifo, which is all that `crun start` does.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

import orjson

from controlplane.node.errors import RuntimeFailure
from controlplane.node.runtime import cgroups, oci
from controlplane.node.runtime.concessions import Concessions
from controlplane.node.runtime.process import ExitWatch, read_once, send_signal
from controlplane.node.runtime.record import Record
from controlplane.node.runtime.spawner import Spawner
from netsim.errors import NetsimError

CREATE_SECONDS = 60.0
KILL_SECONDS = 20.0
SYNC_DESCRIPTOR = 3
LOG_BYTES = 10 * 1024 * 1024
MOST_LOG_BYTES = 5 * LOG_BYTES
"""At which conmon itself begins the file anew: while no daemon runs, nobody rotates."""
LOST_EXIT_CODE = 137
"""The status of a container whose monitor went without leaving one, as upstream assumes."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended: status (128 + N for signal N), epoch seconds, and whether memory ran out."""

    code: int
    finished: float
    oom: bool = False


class Container:
    """One container: created, running (`started` set) or ended (`exit` set)."""

    def __init__(self, record: Record, bundle: Path, pid: int) -> None:
        self.record = record
        self.bundle = bundle
        self.pid = pid
        self.started: float | None = None
        self.exit: Exit | None = None
        self.ended = asyncio.Event()
        self.watch: ExitWatch | None = None
        self.message = ""
        """The termination message, once it has ended."""
        self.attached = False
        """Whether somebody is, or was, at its streams."""
        self.read_by: dict[str, int] = {}
        """How many bytes of its output callers have read, by what they are called."""
        self.start_error = ""
        """Why it could not even be created; it has then ended with status 128."""

    @property
    def running(self) -> bool:
        return self.started is not None and self.exit is None


class ContainerRuntime:
    """The containers of one node, with their bundles under `directory`.

    `on_exit` is called on the loop for each container that ends.
    """

    def __init__(self, cluster: str, directory: Path, spawner: Spawner, on_exit: Callable[[Container], None]) -> None:
        self.directory = directory
        self.state = directory / "runtime"
        self.spawner = spawner
        self._bundles = directory / "containers"
        self._environment = {"NETSIM_CLUSTER": cluster}
        self._on_exit = on_exit

    def bundle(self, container_id: str) -> Path:
        """The directory of one container's config, pid files and exit status."""
        return self._bundles / container_id

    async def create(self, plan: oci.ContainerPlan, record: Record) -> Container:
        """Makes the container up to the point where its program would start; RuntimeFailure with crun's words."""
        bundle = self.bundle(plan.id)
        try:
            cgroups.require()
            with _opened(plan.namespaces) as namespaces:
                pid = await self._make(bundle, replace(plan, namespaces=namespaces), record)
        except (RuntimeFailure, OSError):
            self._discard(record, bundle)
            raise
        container = Container(record, bundle, pid)
        self._follow(container)
        return container

    async def start(self, container: Container) -> None:
        """Lets the container's program begin."""
        fifo = self.state / container.record.id / "exec.fifo"
        if self.spawner.runtime_name == "crun":
            try:
                descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                raise RuntimeFailure(f"container {container.record.id} went away before its start") from error
            try:
                fifo.unlink()
                os.write(descriptor, b"\0")
            finally:
                os.close(descriptor)
        else:
            await self.command("start", container.record.id)
        container.started = _now_of(fifo.parent)

    def kill(self, container: Container, number: int) -> None:
        """Signals the container's first process, or with SIGKILL all of its processes."""
        if container.exit is not None:
            return
        if number == signal.SIGKILL:
            for pid in cgroups.processes(container.record.cgroup):
                send_signal(pid, signal.SIGKILL)
        # The first process also when it has moved to a cgroup of its own making.
        if cgroups.holds(container.pid, container.record.cgroup):
            send_signal(container.pid, number)

    async def remove(self, container: Container) -> None:
        """Ends the container if it runs, and removes every trace but its data directory."""
        if container.exit is None:
            self.kill(container, signal.SIGKILL)
            try:
                async with asyncio.timeout(KILL_SECONDS):
                    await container.ended.wait()
            except TimeoutError as error:
                raise RuntimeFailure(f"container {container.record.id} does not end on SIGKILL") from error
        await self.spawner.files(self._discard, container.record, container.bundle)

    async def command(self, *words: str) -> None:
        """Runs the OCI runtime with `words`; RuntimeFailure with what it printed."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        with os.fdopen(reader, "rb") as complaints:
            try:
                argv = [self.spawner.runtime_path, "--root", str(self.state), *words]
                process = await self.spawner.spawn(argv, descriptors={2: writer})
            finally:
                os.close(writer)
            err = await self.spawner.files(complaints.read)
        if await self.spawner.files(process.wait):
            said = err.decode(errors="replace").strip()
            raise RuntimeFailure(f"{self.spawner.runtime_name} {' '.join(words)}: {said}")

    def adopt(self) -> list[Container]:
        """The containers that an earlier daemon left here, running or ended; half-made ones are removed."""
        found = []
        for bundle in sorted(self._bundles.iterdir()) if self._bundles.exists() else []:
            record = Record.read(bundle)
            container = self._adopt(record, bundle) if record else None
            if container is not None:
                found.append(container)
            elif record is not None:
                self._discard(record, bundle)
                # It never began, so it is no attempt: those are counted by their logs.
                Path(record.log_path).unlink(missing_ok=True)
            else:
                shutil.rmtree(bundle, ignore_errors=True)
        return found

    def close(self, container: Container) -> None:
        """Stops watching a container, which goes on."""
        if container.watch is not None:
            container.watch.close()

    def _adopt(self, record: Record, bundle: Path) -> Container | None:
        pid, state = read_number(bundle / "pid"), self.state / record.id
        if pid is None or not state.exists() or (state / "exec.fifo").exists():
            return None
        container = Container(record, bundle, pid)
        container.started = _now_of(state)
        self._follow(container)
        return container

    def _follow(self, container: Container) -> None:
        monitor = read_number(container.bundle / "conmon.pid")
        if monitor is None or not is_monitor(monitor, container.record.id):
            self._ended(container)
            return
        try:
            container.watch = ExitWatch(monitor, lambda: self._ended(container))
        except ProcessLookupError:
            self._ended(container)

    def _ended(self, container: Container) -> None:
        written = container.bundle / "exit"
        code = read_number(written)
        # What its first process leaves, where that is not the first of a process namespace of its own.
        for pid in cgroups.processes(container.record.cgroup):
            send_signal(pid, signal.SIGKILL)
        if code is None:
            container.exit = Exit(LOST_EXIT_CODE, _now_of(container.bundle))
        else:
            container.exit = Exit(code, written.stat().st_mtime, (container.bundle / "oom").exists())
        container.ended.set()
        self._on_exit(container)

    async def _make(self, bundle: Path, plan: oci.ContainerPlan, record: Record) -> int:
        while True:
            concessions = self.spawner.concessions
            try:
                await self.spawner.files(self._write_bundle, bundle, plan, record, concessions)
                return await self._conmon(bundle, plan, record)
            except RuntimeFailure as failure:
                more = concessions.after(str(failure))
                if more is None:
                    raise
                self.spawner.concede(more, str(failure))

    def _write_bundle(self, bundle: Path, plan: oci.ContainerPlan, record: Record, concessions: Concessions) -> None:
        bundle.mkdir(parents=True, exist_ok=True)
        Path(record.log_path).parent.mkdir(parents=True, exist_ok=True)
        document = oci.config(
            replace(plan, oom_score=max(plan.oom_score, concessions.lowest_oom_score)),
            unified_cgroup=cgroups.unified(),
            controllers=cgroups.controllers(),
            device_rules=concessions.device_rules,
        )
        (bundle / "config.json").write_bytes(orjson.dumps(document))
        record.write(bundle)

    def _discard(self, record: Record, bundle: Path) -> None:
        # First, so that a container that is still being made does not come to be. Of one that has ended there is none.
        monitor = read_number(bundle / "conmon.pid")
        if monitor is not None and is_monitor(monitor, record.id):
            send_signal(monitor, signal.SIGKILL)
        for pid in cgroups.processes(record.cgroup):
            send_signal(pid, signal.SIGKILL)
        shutil.rmtree(self.state / record.id, ignore_errors=True)
        cgroups.remove(record.cgroup)
        shutil.rmtree(bundle, ignore_errors=True)

    async def _conmon(self, bundle: Path, plan: oci.ContainerPlan, record: Record) -> int:
        argv = [self.spawner.conmon, "--api-version", "1", "--cid", plan.id, "--cuuid", plan.id]
        argv += ["--name", record.container, "--runtime", self.spawner.runtime_path]
        argv += ["--runtime-arg", f"--root={self.state}", "--bundle", str(bundle), "--persist-dir", str(bundle)]
        argv += ["--container-pidfile", str(bundle / "pid"), "--conmon-pidfile", str(bundle / "conmon.pid")]
        argv += ["--log-path", f"k8s-file:{record.log_path}", "--log-size-max", str(MOST_LOG_BYTES), "--no-sync-log"]
        argv += ["--socket-dir-path", str(bundle), "--full-attach", "--log-level", "error"]
        if plan.tty:
            argv.append("--terminal")
        if plan.stdin:
            argv += ["--stdin"] if plan.stdin_once else ["--stdin", "--leave-stdin-open"]
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                process = await self.spawner.spawn(
                    argv,
                    descriptors={SYNC_DESCRIPTOR: writer},
                    environment=self._environment | {"_OCI_SYNCPIPE": str(SYNC_DESCRIPTOR)},
                    overlay=(str(plan.root), plan.root_overlay) if plan.root_overlay else None,
                )
            finally:
                os.close(writer)
            async with asyncio.timeout(CREATE_SECONDS):
                answer = await read_once(reader, 65536)
        except TimeoutError as error:
            raise RuntimeFailure(f"conmon has not created container {plan.id} in {CREATE_SECONDS:.0f} s") from error
        except NetsimError as error:
            raise RuntimeFailure(str(error)) from error
        finally:
            os.close(reader)
            if plan.root_overlay:
                self.spawner.unmount(str(plan.root))
        if process.poll() is None:
            await self.spawner.files(process.wait)
        return self._created_pid(answer)

    def _created_pid(self, answer: bytes) -> int:
        try:
            said = orjson.loads(answer)
        except orjson.JSONDecodeError as error:
            raise RuntimeFailure("conmon ended without a word; is the run directory full?") from error
        pid = int(said.get("data", -1))
        if pid <= 0:
            message = str(said.get("message", "")).strip() or f"status {pid}"
            raise RuntimeFailure(f"{self.spawner.runtime_name} create failed: {message}")
        return pid


@contextmanager
def _opened(namespaces: oci.Namespaces) -> Iterator[oci.Namespaces]:
    """The namespaces as descriptors of this process: the runtime may live in another mount namespace, into which
    pins made later do not always propagate."""
    with ExitStack() as stack:
        paths: dict[str, str | None] = {}
        for field in fields(namespaces):
            path = getattr(namespaces, field.name)
            if path:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, descriptor)
                path = f"/proc/{os.getpid()}/fd/{descriptor}"
            paths[field.name] = path
        yield oci.Namespaces(**paths)


def read_number(path: Path) -> int | None:
    """The number that a file of a bundle holds; None while it holds none."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _now_of(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def is_monitor(pid: int, container_id: str) -> bool:
    """Whether process `pid` is the conmon of that container: guards against a pid used again."""
    try:
        return container_id.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
