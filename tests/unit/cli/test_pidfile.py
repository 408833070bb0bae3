"""Whether a daemon runs is what the kernel says of its lock, not what a file says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.pidfile import AlreadyRunning, PidFile, running_pid

HOLDER = """
import sys
from pathlib import Path
from controlplane.pidfile import PidFile
held = PidFile(Path(sys.argv[1]))
held.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_file_without_a_daemon_is_nobody(tmp_path: Path) -> None:
    path = tmp_path / "daemon.pid"
    assert running_pid(path) is None
    path.write_text(f"{os.getpid()}\n")
    assert running_pid(path) is None


def test_a_holder_is_known_until_it_dies_and_looking_does_not_lock(tmp_path: Path) -> None:
    path = tmp_path / "daemon.pid"
    argv = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert running_pid(path) == running_pid(path) == holder.pid
        with pytest.raises(AlreadyRunning):
            PidFile(path).acquire()
        holder.kill()
        holder.wait()
    assert running_pid(path) is None
    PidFile(path).acquire()
