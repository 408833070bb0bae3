"""`make demo` takes its cluster down however it ends. Small scripts stand for netsim and kubectl."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench import demo as module

DEMO = """
import sys
from pathlib import Path
from workbench import demo
demo.BIN = Path(sys.argv[1])
sys.exit(demo.main())
"""
NETSIM = '#!/bin/sh\necho "$@" >> "$(dirname "$0")/calls"\nprintf "%05000d\\n" 0\n'
DOWN = "down --name demo"
HEARING = ("env", "--default-signal=HUP,INT,QUIT,TERM")
"""Whoever runs the tests may ignore some, as `nohup` does, and a program keeps to that."""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Where the demo finds a `netsim` that notes how it is called, and a `kubectl` that lasts."""
    for name, text in (("netsim", NETSIM), ("kubectl", "#!/bin/sh\nexec sleep 60\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.fixture
def demo(programs: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = [*HEARING, sys.executable, "-u", "-c", DEMO, str(programs)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        yield process
        process.kill()


def calls(programs: Path) -> list[str]:
    return (programs / "calls").read_text().splitlines()


def read_until(demo: subprocess.Popen[bytes], text: bytes) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if text in line:
            return
    raise AssertionError(f"the demo ended before {text!r}")


def test_what_does_not_answer_is_no_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        answer, failure = module._fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert answer == ""
    assert failure.startswith("curl: ")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_cluster_taken_down(
    demo: subprocess.Popen[bytes], programs: Path, number: signal.Signals
) -> None:
    read_until(demo, b"kubectl get nodes")
    os.killpg(demo.pid, number)
    _, said = demo.communicate(timeout=60)
    assert calls(programs) == [DOWN, "up --name demo", DOWN]
    assert demo.returncode == 130
    assert b"interrupted" in said


@pytest.mark.parametrize("after", [b"A cluster of three nodes", b"kubectl get nodes"])
def test_a_reader_that_goes_away_ends_it_with_the_cluster_taken_down(
    demo: subprocess.Popen[bytes], programs: Path, after: bytes
) -> None:
    (programs / "kubectl").write_text("#!/bin/sh\necho node-1\n")
    read_until(demo, after)
    assert demo.stdout is not None
    assert demo.stderr is not None
    demo.stdout.close()
    said = demo.stderr.read()
    assert demo.wait(20) == 1
    assert calls(programs)[-1] == DOWN
    assert said == b""


def test_a_terminal_that_is_closed_too(programs: Path) -> None:
    leader, follower = os.openpty()
    argv = [*HEARING, sys.executable, "-c", DEMO, str(programs)]
    with subprocess.Popen(argv, stdin=follower, stdout=follower, stderr=follower, start_new_session=True) as process:
        os.close(follower)
        shown = b""
        while b"kubectl get nodes" not in shown:
            shown += os.read(leader, 65536)
        os.close(leader)
        os.killpg(process.pid, signal.SIGHUP)
        assert process.wait(20) in (1, 130)
    assert calls(programs)[-1] == DOWN
