"""Starting and stopping the daemon of a cluster, as a process of its own that outlives the command.

The daemon tells its steps as JSON lines on a pipe, and last of all that it is ready or why it is not. Its output
goes to daemon.log in the cluster's directory.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.directories import Directories
from controlplane.pidfile import running_pid
from workbench.cli.errors import UserError

DAEMON = (sys.executable, "-m", "controlplane.daemon")
START_SECONDS = 120.0
TERM_SECONDS = 5.0
KILL_SECONDS = 10.0
POLL_SECONDS = 0.01
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Step = Callable[[str, int, int], None]


class StartFailed(UserError):
    """The daemon ended, or said why it cannot start."""


@dataclass(frozen=True, slots=True)
class Started:
    """A daemon that is ready; it outlives this command, so nobody here waits for `process`."""

    process: subprocess.Popen[bytes]
    api: str


def start(directories: Directories, step: Step, *, program: Sequence[str] = DAEMON) -> Started:
    """Start the daemon and wait until it is ready, telling each step; StartFailed if it does not come up.

    When this command is interrupted meanwhile, the daemon is stopped too. `program` is what to run, without its
    `--directory` and `--progress-fd`.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        daemon = _spawn(directories, writer, program)
    finally:
        os.close(writer)
    try:
        return Started(daemon, _wait_ready(directories, daemon, reader, step))
    except BaseException:
        # Interrupted or failed: a daemon that nobody knows of must not stay.
        daemon.kill()
        daemon.wait(KILL_SECONDS)
        raise
    finally:
        os.close(reader)


def stop(directories: Directories) -> int | None:
    """Stop the cluster's daemon: SIGTERM, and SIGKILL if it does not end in time; its pid, None if none ran."""
    pid = running_pid(directories.pid_file)
    if pid is None:
        return None
    for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        if _ended_by(directories, pid, number, seconds):
            return pid
    raise UserError(f"the daemon of cluster {directories.name} (pid {pid}) does not end", "see: dmesg")


def log_tail(directories: Directories, lines: int = 5) -> str:
    """The last lines that the daemon printed, indented; empty if there are none."""
    try:
        text = directories.log.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def _spawn(directories: Directories, writer: int, program: Sequence[str]) -> subprocess.Popen[bytes]:
    with directories.log.open("ab") as log:
        return subprocess.Popen(
            [*program, "--directory", str(directories.state), "--progress-fd", str(writer)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writer],
            start_new_session=True,
            cwd="/",
            env=_environment(directories.name),
        )


def _environment(name: str) -> dict[str, str]:
    """Little of the caller's: a daemon must not depend on who started it."""
    kept = {key: value for key, value in os.environ.items() if key in ("LANG", "LC_ALL", "NETSIM_LOG")}
    return kept | {"PATH": f"{os.path.dirname(sys.executable)}:{_PATH}", "NETSIM_CLUSTER": name, "HOME": "/root"}


def _wait_ready(directories: Directories, daemon: subprocess.Popen[bytes], reader: int, step: Step) -> str:
    for message in _messages(directories, reader):
        if message.get("ready"):
            return str(message["api"])
        if "error" in message:
            raise StartFailed(str(message["error"]), str(message.get("remedy", "")))
        step(str(message["step"]), int(message.get("done", 0)), int(message.get("total", 0)))
    status = daemon.wait(KILL_SECONDS)
    raise StartFailed(f"the daemon ended with status {status} before it was ready", _last_words(directories))


def _messages(directories: Directories, reader: int) -> Iterator[dict[str, Any]]:
    """The daemon's lines until it closes its end; StartFailed if it is silent for too long."""
    buffered = b""
    while True:
        readable, _, _ = select.select([reader], [], [], START_SECONDS)
        if not readable:
            raise StartFailed(f"the daemon said nothing for {START_SECONDS:.0f} s", _last_words(directories))
        data = os.read(reader, 65536)
        if not data:
            return
        *lines, buffered = (buffered + data).split(b"\n")
        yield from (json.loads(line) for line in lines)


def _last_words(directories: Directories) -> str:
    tail = log_tail(directories)
    return f"the last lines of its log:\n{tail}" if tail else ""


def _ended_by(directories: Directories, pid: int, number: signal.Signals, seconds: float) -> bool:
    """Send a signal and wait until the daemon's lock is free, which is when the process has gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if running_pid(directories.pid_file) != pid:
            return True
        time.sleep(POLL_SECONDS)
    return False
