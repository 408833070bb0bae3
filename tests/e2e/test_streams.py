"""exec, attach, run, cp and port-forward through the real kubectl: input, output, terminals, sizes and exit codes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster

WAIT_SECONDS = 30.0


class Terminal:
    """A person at a terminal of 100 columns and 40 rows, in which a command runs."""

    def __init__(self, argv: list[str]) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(100, 40)
        self.process = subprocess.Popen(
            argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=_take_terminal
        )
        os.close(theirs)
        self.seen = ""

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def expect(self, text: str) -> None:
        """Waits until `text` is on the screen, and takes it and what stood before it away."""
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in self.seen:
            assert self._read(deadline), f"the command ended without {text!r}: {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def exit_status(self) -> int:
        """Waits for the end of the command."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self._read(deadline):
            pass
        return self.process.wait(WAIT_SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing more within {WAIT_SECONDS} s after {self.seen!r}"
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # EIO: nobody has the other end open
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def terminal(argv: list[str]) -> Iterator[Terminal]:
    person = Terminal(argv)
    try:
        yield person
    finally:
        person.close()


@pytest.fixture
def shell(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A pod `shell` that sleeps; the name of its namespace."""
    cluster.out("-n", namespace, "run", "shell", "--image=busybox", "--", "sleep", "3600")
    cluster.out("-n", namespace, "wait", "--for=condition=Ready", "pod/shell", "--timeout=120s")
    yield namespace
    cluster.out("-n", namespace, "delete", "pod", "shell", "--now", "--wait=false")


@pytest.fixture(params=["websocket", "spdy"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What kubectl speaks: that of today, or that of versions before 1.31."""
    monkeypatch.setenv("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "true" if request.param == "websocket" else "false")
    return str(request.param)


def test_a_pod_run_with_a_terminal_is_a_shell_of_its_own(cluster: Cluster, namespace: str, protocol: str) -> None:
    run = ("-n", namespace, "run", "mine", "-it", "--rm", "--restart=Never", "--image=busybox", "--", "sh")
    with terminal(cluster.argv(*run)) as person:
        person.expect("If you don't see a command prompt")
        # kubectl first sends a size that is too large by one, so that programs draw themselves anew.
        person.type("tty; until stty size | grep '40 100'; do sleep 0.1; done; echo answer=$((6*7))\n")
        person.expect("/dev/pts/0")
        person.expect("40 100\r\n")
        person.expect("answer=42")
        person.resize(90, 30)
        person.type("until stty size | grep '30 90'; do sleep 0.1; done; hostname; exit 5\n")
        person.expect("30 90\r\n")
        person.expect("mine\r\n")
        assert person.exit_status() == 5
    assert cluster.out("-n", namespace, "get", "pods", "-o", "name") == ""


def test_input_of_a_run_pod_ends_with_its_callers(cluster: Cluster, namespace: str, protocol: str) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    count = ("sh", "-c", "wc -c; exit 4")
    run = ("-n", namespace, "run", "count", "-i", "--rm", "--restart=Never", "--image=busybox", "--", *count)
    done = cluster.kubectl(*run, stdin=text, check=False)
    assert done.stdout.splitlines()[0].strip() == str(len(text)), done.stderr
    assert done.returncode == 4


@pytest.mark.parametrize("program", ["echo hi; exit 3", "sleep 0.05; echo hi; exit 3"])
def test_what_ends_at_once_shows_its_output_once(cluster: Cluster, namespace: str, program: str) -> None:
    for number in range(5):
        run = ("run", f"once-{number}", "-i", "--rm", "--quiet", "--restart=Never", "--image=busybox")
        done = cluster.kubectl("-n", namespace, *run, "--", "sh", "-c", program, check=False)
        assert (done.stdout, done.returncode) == ("hi\n", 3), done.stderr
        assert "couldn't attach" not in done.stderr


MEMORY = """
apiVersion: v1
kind: Pod
metadata: {name: memory}
spec:
  containers:
  - name: c
    image: busybox
    stdin: true
    command: [sh, -c, 'while read word; do echo "got $word"; done']
"""


def test_input_that_is_not_once_only_stays_open_for_the_next_caller(cluster: Cluster, namespace: str) -> None:
    created = cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=MEMORY)
    assert "Warning" not in created.stderr
    cluster.out("-n", namespace, "wait", "--for=condition=Ready", "pod/memory", "--timeout=120s")
    for word in ("first", "second"):
        argv = cluster.argv("-n", namespace, "attach", "-i", "memory")
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as attached:
            assert attached.stdin is not None
            assert attached.stdout is not None
            attached.stdin.write(f"{word}\n")
            attached.stdin.close()
            assert attached.stdout.readline() == f"got {word}\n"
            attached.kill()
    (status,) = cluster.json("-n", namespace, "get", "pod", "memory")["status"]["containerStatuses"]
    assert (status["ready"], status["restartCount"]) == (True, 0)
    cluster.out("-n", namespace, "delete", "pod", "memory", "--now", "--wait=false")


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_that_ends_at_once_has_its_exit_code(cluster: Cluster, shell: str, protocol: str, code: int) -> None:
    for _ in range(5):
        with terminal(cluster.argv("-n", shell, "exec", "-it", "shell", "--", "sh", "-c", f"exit {code}")) as person:
            assert person.exit_status() == code, person.seen


def test_exec_carries_all_streams_and_the_exit_code(cluster: Cluster, shell: str, protocol: str) -> None:
    argv = ("-n", shell, "exec", "-i", "shell", "--", "sh", "-c", "wc -c; echo bad >&2; exit 7")
    done = cluster.kubectl(*argv, stdin="x" * 1_000_000, check=False)
    assert (done.stdout.strip(), done.returncode) == ("1000000", 7)
    assert done.stderr == "bad\ncommand terminated with exit code 7\n"
    assert len(cluster.out("-n", shell, "exec", "shell", "--", "head", "-c", "3000000", "/dev/zero")) == 3_000_000
    unread = cluster.kubectl("-n", shell, "exec", "-i", "shell", "--", "true", stdin="x" * 1_000_000)
    assert unread.stdout == ""
    missing = cluster.kubectl("-n", shell, "exec", "shell", "--", "no-such-program", check=False)
    assert "no-such-program" in missing.stderr


def test_a_command_ends_when_its_caller_goes(
    cluster: Cluster, shell: str, protocol: str, eventually: Eventually
) -> None:
    def running() -> bool:
        return "sleep 4242" in cluster.out(
            "-n", shell, "exec", "shell", "--", "sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '"
        )

    with subprocess.Popen(cluster.argv("-n", shell, "exec", "shell", "--", "sleep", "4242")) as caller:
        eventually(running)
        caller.kill()
    eventually(lambda: not running())


def test_files_and_directories_are_copied_both_ways(
    cluster: Cluster, shell: str, protocol: str, tmp_path: Path
) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "there" / "deep").mkdir(parents=True)
    (tmp_path / "there" / "deep" / "file").write_bytes(content)
    cluster.out("-n", shell, "cp", str(tmp_path / "there"), "shell:/tmp/copied")
    listed = cluster.out("-n", shell, "exec", "shell", "--", "ls", "/tmp/copied/deep")
    assert listed == "file\n"
    cluster.out("-n", shell, "cp", "shell:/tmp/copied/deep/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content


@contextmanager
def port_forward(cluster: Cluster, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A running `kubectl port-forward`, and the local port that it has chosen."""
    argv = cluster.argv("port-forward", *arguments)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as forwarding:
        try:
            assert forwarding.stdout is not None
            said = forwarding.stdout.readline()
            assert said.startswith("Forwarding from 127.0.0.1:"), said
            yield forwarding, int(said.split(":")[1].split()[0])
        finally:
            forwarding.kill()


def fetch(port: int, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return str(answer.read().decode())


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> Iterator[str]:
    """A Deployment and a Service `web`; the name of their namespace."""
    name = f"test-{uuid.uuid4().hex[:6]}"
    cluster.out("create", "namespace", name)
    cluster.out("-n", name, "create", "deployment", "web", "--image=nginx", "--port=80")
    cluster.out("-n", name, "expose", "deployment", "web", "--port=8000", "--target-port=80")
    cluster.out("-n", name, "wait", "--for=condition=Available", "deployment/web", "--timeout=120s")
    yield name
    cluster.out("delete", "namespace", name)


@pytest.mark.parametrize("websockets", ["true", "false"])
@pytest.mark.parametrize("what", [("deployment/web", ":80"), ("service/web", ":8000")], ids=["deployment", "service"])
def test_a_port_is_forwarded(
    cluster: Cluster, web: str, what: tuple[str, str], websockets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
    with port_forward(cluster, "-n", web, *what) as (_, port):
        for number in range(5):
            assert f"request: GET /{number} HTTP/1.1" in fetch(port, f"/{number}")
        with ThreadPoolExecutor(8) as people:
            answers = list(people.map(lambda number: fetch(port, f"/{number}"), range(40)))
        assert [f"GET /{number} " in answer for number, answer in enumerate(answers)] == [True] * 40


@pytest.mark.parametrize("websockets", ["true", "false"])
def test_a_port_on_which_nothing_listens_is_named(
    cluster: Cluster, web: str, websockets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
    with port_forward(cluster, "-n", web, "deployment/web", ":81") as (forwarding, port):
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            fetch(port)
        assert forwarding.stdout is not None
        seen = ""
        while "error forwarding port 81 to pod web-" not in seen:
            line = forwarding.stdout.readline()
            assert line, seen
            seen += line
        assert "failed to connect to localhost:81" in seen
        assert "connection refused" in seen
