"""A command executed in a running container: `crun exec` with pipes, or with a terminal.

The command's own process, and not only the `exec` program, is killed when the caller goes away. A terminal comes as a
descriptor over a console socket.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import secrets
import signal
import socket
import struct
import termios
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from controlplane.node.errors import RuntimeFailure
from controlplane.node.runtime.child import Child
from controlplane.node.runtime.container import Container, ContainerRuntime
from controlplane.node.runtime.process import send_signal, wait_for_exit

CONSOLE_SECONDS = 10.0
SENT_SECONDS = 0.1
"""How long it may take to receive what was sent already."""

END_SECONDS = 5.0
"""How long the OCI runtime may take to note that the command was killed."""

CHUNK = 65536


@dataclass(slots=True)
class Execution:
    """A running command. `stdin` is None when not asked for; with a terminal `stdout` carries everything
    and `terminal` is its descriptor. The OCI runtime's own words go to `log_file`."""

    process: Child
    log_file: Path
    stdin: int | None
    stdout: int | None
    stderr: int | None
    terminal: int | None = None

    def resize(self, width: int, height: int) -> None:
        """Sets the size of the terminal."""
        if self.terminal is not None:
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    async def wait(self) -> int:
        """The exit status, 128 + N for signal N."""
        await wait_for_exit(self.process.pid)
        status = self.process.wait()
        return status if status >= 0 else 128 - status

    def complaint(self) -> str:
        """What the OCI runtime said if there has been no command: it could not be found, for one; else ""."""
        return _complaint(self.log_file)

    def kill(self) -> None:
        """Ends the command; the program that waits for it takes note and ends too.

        Killed itself, it would leave the dead command to the container's first process, and many of those wait for
        nobody.
        """
        if self.process.poll() is not None:
            return
        # Stopped, so that it cannot make the command's process after its children were looked at.
        self.process.send_signal(signal.SIGSTOP)
        commands = _children(self.process.pid)
        for pid in commands:
            send_signal(pid, signal.SIGKILL)
        self.process.send_signal(signal.SIGCONT if commands else signal.SIGKILL)

    def close(self) -> None:
        """Lets go of descriptors and files."""
        for descriptor in {self.stdin, self.stdout, self.stderr, self.terminal} - {None}:
            assert descriptor is not None
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.stdin = self.stdout = self.stderr = self.terminal = None
        self.log_file.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def execute(
    runtime: ContainerRuntime,
    container: Container,
    argv: list[str],
    *,
    stdin: bool = False,
    tty: bool = False,
) -> AsyncIterator[Execution]:
    """Runs `argv` in the container; it is killed if the block is left before it has ended."""
    if not container.running:
        raise RuntimeFailure(f"container {container.record.container} is not running")
    token = secrets.token_hex(8)
    spec = container.bundle / f"exec-{token}.json"
    await runtime.spawner.files(_write_process, container.bundle, spec, argv, tty)
    log_file = spec.with_suffix(".log")
    words = [runtime.spawner.runtime_path, "--root", str(runtime.state)]
    words += ["--log", str(log_file), "--log-format", "json", "exec"]
    words += ["--process", str(spec)]
    try:
        if tty:
            execution = await _with_terminal(runtime, container, words, log_file)
        else:
            execution = await _with_pipes(runtime, container, words, log_file, stdin=stdin)
    except BaseException:
        spec.unlink(missing_ok=True)
        raise
    try:
        yield execution
    finally:
        if execution.process.poll() is None:
            execution.kill()
            try:
                async with asyncio.timeout(END_SECONDS):
                    await wait_for_exit(execution.process.pid)
            except TimeoutError:
                execution.process.kill()
            await runtime.spawner.files(execution.process.wait)
        execution.close()
        spec.unlink(missing_ok=True)


async def output_of(
    runtime: ContainerRuntime, container: Container, argv: list[str], seconds: float
) -> tuple[int, str]:
    """Exit status and output, both streams together, of a short command; TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds), execute(runtime, container, argv) as execution:
        found = bytearray()

        async def drain(descriptor: int | None) -> None:
            if descriptor is not None:
                async for chunk in chunks(descriptor):
                    found.extend(chunk[: CHUNK - len(found)])

        await asyncio.gather(drain(execution.stdout), drain(execution.stderr))
        return await execution.wait(), found.decode(errors="replace")


async def chunks(descriptor: int) -> AsyncIterator[bytes]:
    """What can be read, until the end. A terminal ends with EIO when its last user has gone."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    os.set_blocking(descriptor, False)
    loop.add_reader(descriptor, ready.set)
    try:
        while True:
            await ready.wait()
            ready.clear()
            while True:
                try:
                    data = os.read(descriptor, CHUNK)
                except BlockingIOError:
                    break
                except OSError:
                    return
                if not data:
                    return
                yield data
    finally:
        loop.remove_reader(descriptor)


async def write_all(descriptor: int, data: bytes) -> None:
    """Writes everything, waiting for room; BrokenPipeError when nobody reads any more."""
    loop = asyncio.get_running_loop()
    os.set_blocking(descriptor, False)
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            ready = asyncio.Event()
            loop.add_writer(descriptor, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_writer(descriptor)


async def _with_pipes(
    runtime: ContainerRuntime, container: Container, words: list[str], log_file: Path, *, stdin: bool
) -> Execution:
    out, err = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    inward = os.pipe2(os.O_CLOEXEC) if stdin else None
    try:
        process = await runtime.spawner.spawn(
            [*words, container.record.id],
            descriptors={1: out[1], 2: err[1]} | ({0: inward[0]} if inward else {}),
        )
    except BaseException:
        for descriptor in (out[0], err[0], *([inward[1]] if inward else [])):
            os.close(descriptor)
        raise
    finally:
        for descriptor in (out[1], err[1], *([inward[0]] if inward else [])):
            os.close(descriptor)
    return Execution(process, log_file, inward[1] if inward else None, out[0], err[0])


async def _with_terminal(
    runtime: ContainerRuntime, container: Container, words: list[str], log_file: Path
) -> Execution:
    # A path of its own in /run: the name of a Unix socket has 107 characters, and a bundle's is longer.
    path = Path("/run/netsim") / f".console-{secrets.token_hex(8)}"
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.setblocking(False)
        try:
            process = await runtime.spawner.spawn([*words, "--tty", "--console-socket", str(path), container.record.id])
            try:
                with _ended_on_failure(runtime, process):
                    async with asyncio.timeout(CONSOLE_SECONDS):
                        terminal = await _receive_terminal(listener, process)
            except TimeoutError as error:
                raise RuntimeFailure("the OCI runtime gave no terminal") from error
        finally:
            path.unlink(missing_ok=True)
    if terminal is None:
        process.wait()
        raise RuntimeFailure(_complaint(log_file) or "the OCI runtime gave no terminal")
    return Execution(process, log_file, terminal, terminal, None, terminal)


@contextlib.contextmanager
def _ended_on_failure(runtime: ContainerRuntime, process: Child) -> Iterator[None]:
    try:
        yield
    except BaseException:
        runtime.spawner.end(process)
        raise


async def _receive_terminal(listener: socket.socket, process: Child) -> int | None:
    loop = asyncio.get_running_loop()
    accepting = loop.create_task(_accept(listener))
    ended = loop.create_task(wait_for_exit(process.pid))
    try:
        await asyncio.wait({accepting, ended}, return_when=asyncio.FIRST_COMPLETED)
        # A command that ends at once has sent its terminal all the same: it only has to be fetched.
        await asyncio.wait({accepting}, timeout=SENT_SECONDS)
        return accepting.result() if accepting.done() else None
    finally:
        accepting.cancel()
        ended.cancel()


async def _accept(listener: socket.socket) -> int:
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(listener)
    with contextlib.closing(connection):
        ready = asyncio.Event()
        loop.add_reader(connection, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(connection)
        descriptors = array.array("i")
        _, ancillary, _, _ = connection.recvmsg(256, socket.CMSG_SPACE(descriptors.itemsize))
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: descriptors.itemsize])
        return int(descriptors[0])


def _children(pid: int) -> list[int]:
    """The child processes of `pid`, from the one file of procfs that lists them, else by looking at all."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _parent(int(entry)) == pid]


def _parent(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _complaint(log_file: Path) -> str:
    with contextlib.suppress(FileNotFoundError, orjson.JSONDecodeError):
        lines = log_file.read_bytes().splitlines()
        return str(orjson.loads(lines[-1]).get("msg", "")) if lines else ""
    return ""


def _write_process(bundle: Path, target: Path, argv: list[str], tty: bool) -> None:
    process: dict[str, Any] = orjson.loads((bundle / "config.json").read_bytes())["process"]
    process |= {"args": argv, "terminal": tty}
    if tty and not any(entry.startswith("TERM=") for entry in process["env"]):
        process["env"] = [*process["env"], "TERM=xterm"]
    target.write_bytes(orjson.dumps(process))
