"""A capture while it runs: rings, the program that empties them, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from netsim import programs
from netsim.capture import pcapng, ring
from netsim.capture.bpf import SNAPLEN, compile_filter
from netsim.capture.pcapng import Tally
from netsim.capture.point import Point
from netsim.errors import CommandFailed
from netsim.inventory import processes

SOURCE = Path(__file__).with_name("writer.c")
MEMORY = 1 << 27
_FEWEST_BLOCKS, _MOST_BLOCKS = 4, 128
_STOP_SECONDS = 10
_READY = b"ready\n"
_APPLICATION = "netsim"


class Recorder:
    """Packets of all `points` that `filter_text` takes, written to `output` until `stop` is called.

    `cluster` is whose it is: it ends when that is removed. `count` packets or `seconds` end it, 0 never. `names` are
    names for addresses that go into the stream. `output` is a descriptor, which stays the caller's. The program that
    writes can be ended by SIGTERM. It ends by itself, with all that came before, when its caller does, however that is;
    unless `alone`. `memory` is how many bytes all rings may have.
    """

    def __init__(
        self,
        points: Sequence[Point],
        output: int,
        *,
        cache: Path,
        cluster: str,
        filter_text: str = "",
        snaplen: int = SNAPLEN,
        count: int = 0,
        seconds: int = 0,
        alone: bool = False,
        memory: int = MEMORY,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.points = tuple(points)
        self._output, self._cache, self._cluster = output, cache, cluster
        self._ends_after, self._alone, self._memory = (count, seconds), alone, memory
        self._filter, self._snaplen, self._names = filter_text, snaplen, dict(names or {})
        self._writer: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the program that writes."""
        assert self._writer is not None
        return self._writer.pid

    def start(self) -> None:
        """Packets are seen from here on.

        Raises `FilterRejected`, `NotFound` for a point that is not there, `MissingRequirement` without a C compiler.
        """
        program = compile_filter(self._filter, snaplen=self._snaplen)
        writer = programs.ensure_built(SOURCE, self._cache)
        blocks = min(max(self._memory // len(self.points) // ring.BLOCK_BYTES, _FEWEST_BLOCKS), _MOST_BLOCKS)
        header = pcapng.header(self.points, application=_APPLICATION, filter_text=self._filter, names=self._names)
        with ExitStack() as held:
            rings = [held.enter_context(ring.open_ring(point, program, blocks)) for point in self.points]
            beginning = held.enter_context(_readable(header))
            self._writer = self._start(writer, beginning, blocks, rings)
            self._await_ready(self._writer)

    def stop(self) -> list[Tally]:
        """Ends it, with all that came before, and counts; one tally a point. Once ended it says the same again."""
        self.end()
        return self.wait(_STOP_SECONDS)

    def end(self) -> None:
        """Asks it to end, and does not wait. May be called by a signal handler."""
        assert self._writer is not None
        if self._writer.returncode is None:
            os.kill(self._writer.pid, signal.SIGTERM)

    def wait(self, seconds: float | None = None) -> list[Tally]:
        """Waits for the end. Raises `TimeoutError` after `seconds`, `CommandFailed` if the writer failed."""
        assert self._writer is not None
        try:
            _nothing, said = self._writer.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"the capture goes on after {seconds} s") from error
        if self._writer.returncode != 0:
            raise CommandFailed([SOURCE.stem], self._writer.returncode, stderr=said.decode(errors="replace"))
        return [Tally(*map(int, line.split())) for line in said.splitlines()]

    def kill(self) -> None:
        """Ends it at once; what the rings hold is lost."""
        if self._writer is not None and self._writer.poll() is None:
            self._writer.kill()
            self._writer.communicate()

    def _await_ready(self, started: subprocess.Popen[bytes]) -> None:
        assert started.stderr is not None
        said = b""
        # Byte by byte: what comes after the line is for `wait` to read.
        while not said.endswith(b"\n") and (byte := os.read(started.stderr.fileno(), 1)):
            said += byte
        if said != _READY:
            status = started.wait(_STOP_SECONDS)
            raise CommandFailed([SOURCE.stem], status, stderr=said.decode(errors="replace"))

    def _start(
        self, writer: Path, beginning: int, blocks: int, rings: Sequence[socket.socket]
    ) -> subprocess.Popen[bytes]:
        sockets = [each.fileno() for each in rings]
        numbers = [ring.BLOCK_BYTES, blocks, ring.TIMEOUT_MILLISECONDS, *self._ends_after, int(self._alone)]
        # The caller's own standard output is not kept open by a program that goes on without it.
        output = os.dup(self._output)
        try:
            return subprocess.Popen(
                [str(writer), *map(str, (output, beginning, *numbers, *sockets))],
                pass_fds=(output, beginning, *sockets),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, processes.ENVIRONMENT: self._cluster},
            )
        finally:
            os.close(output)


@contextmanager
def _readable(data: bytes) -> Iterator[int]:
    """A descriptor from which `data` can be read."""
    descriptor = os.memfd_create("netsim-capture")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
