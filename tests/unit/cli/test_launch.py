"""Starting and stopping a daemon: a small program of the test's own stands for it, as a real process."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from controlplane.directories import Directories
from controlplane.pidfile import running_pid
from workbench.cli import launch
from workbench.cli.launch import StartFailed

DAEMON = """\
import argparse, json, os, signal, sys, time
from pathlib import Path
from controlplane.pidfile import PidFile
parser = argparse.ArgumentParser()
parser.add_argument("--directory")
parser.add_argument("--progress-fd", type=int)
arguments = parser.parse_args()
PidFile(Path({pid_file!r})).acquire()
def tell(**message):
    os.write(arguments.progress_fd, json.dumps(message).encode() + b"\\n")
print("said by the daemon", os.environ["NETSIM_CLUSTER"], os.getsid(0) == os.getpid(), flush=True)
tell(step="nodes", done=1, total=3)
{body}
"""
READY = 'tell(ready=True, api="https://127.0.0.1:6443"); os.close(arguments.progress_fd)\n'


def daemon(lab: Directories, body: str) -> list[str]:
    file = lab.state / "daemon.py"
    file.write_text(DAEMON.format(pid_file=str(lab.pid_file), body=body))
    return [sys.executable, str(file)]


def ignore(text: str, done: int, total: int) -> None:
    pass


def test_a_daemon_outlives_the_start_and_is_stopped(lab: Directories) -> None:
    steps: list[tuple[str, int, int]] = []
    program = daemon(lab, READY + "signal.pause()")
    started = launch.start(lab, lambda *step: steps.append(step), program=program)
    assert started.api == "https://127.0.0.1:6443"
    assert steps == [("nodes", 1, 3)]
    assert running_pid(lab.pid_file) == started.process.pid
    assert lab.log.read_text() == "said by the daemon lab True\n"
    assert launch.stop(lab) == started.process.pid
    assert running_pid(lab.pid_file) is None
    started.process.wait(60)


def test_a_daemon_that_ignores_sigterm_is_killed(lab: Directories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "TERM_SECONDS", 0.1)
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + "time.sleep(60)"
    started = launch.start(lab, ignore, program=daemon(lab, body))
    assert launch.stop(lab) == started.process.pid
    assert started.process.wait(60) == -signal.SIGKILL


def test_stopping_what_does_not_run_is_no_error(lab: Directories) -> None:
    assert launch.stop(lab) is None


def test_the_daemons_error_and_remedy_are_passed_on(lab: Directories) -> None:
    program = daemon(lab, 'tell(error="no bridge", remedy="apt install it"); sys.exit(1)')
    with pytest.raises(StartFailed, match="no bridge") as caught:
        launch.start(lab, ignore, program=program)
    assert caught.value.remedy == "apt install it"
    assert running_pid(lab.pid_file) is None


def test_a_daemon_that_dies_is_told_with_its_last_words(lab: Directories) -> None:
    program = daemon(lab, 'sys.exit("the last words")')
    with pytest.raises(StartFailed, match="ended with status 1 before it was ready") as caught:
        launch.start(lab, ignore, program=program)
    assert "the last words" in caught.value.remedy


def test_a_daemon_that_says_nothing_is_not_left_behind(lab: Directories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "START_SECONDS", 0.5)
    with pytest.raises(StartFailed, match="said nothing"):
        launch.start(lab, ignore, program=daemon(lab, "time.sleep(60)"))
    assert running_pid(lab.pid_file) is None


def test_an_interrupted_start_leaves_no_daemon(lab: Directories) -> None:
    def interrupt(text: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch.start(lab, interrupt, program=daemon(lab, "time.sleep(60)"))
    assert running_pid(lab.pid_file) is None


def test_a_stale_pid_file_is_not_taken_for_a_daemon(lab: Directories) -> None:
    lab.pid_file.write_text(f"{os.getpid()}\n")
    assert launch.stop(lab) is None
