"""The stand-in server as a program of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.node.images.standin import SOURCE, StandInConfig


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("standin") / "server"
    subprocess.run(
        ["cc", "-O1", "-static", "-Wall", "-Wextra", "-Werror", "-o", target, SOURCE], check=True, timeout=60
    )
    return target


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


class Running:
    """A server with one port, and its configuration file."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.port = _free_port()
        self.config = StandInConfig("img:1", "web", "shop", "node-1", "10.44.1.2", tcp=(self.port,))
        self.file = directory / "config"
        self.file.write_text(self.config.text())
        self.process = subprocess.Popen([program, self.file], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline().decode()

    def connect(self, port: int = 0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port or self.port), timeout=60)

    def talk(self, request: bytes, until: Callable[[bytes], bool] | None = None) -> bytes:
        """What comes back, until the server closes or `until` is content."""
        got = b""
        with self.connect() as made:
            made.sendall(request)
            while (until is None or not until(got)) and (data := made.recv(65536)):
                got += data
        return got


@pytest.fixture
def running(server: Path, tmp_path: Path) -> Iterator[Running]:
    made = Running(server, tmp_path)
    yield made
    made.process.kill()
    made.process.communicate(timeout=60)


def test_it_says_who_it_is_and_who_asked(running: Running) -> None:
    assert running.first_line == f"stand-in for img:1 listens on {running.port}/tcp\n"
    head, _, body = running.talk(b"GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    lines = body.decode().splitlines()
    assert lines[:5] == ["image: img:1", "pod: web", "namespace: shop", "node: node-1", "address: 10.44.1.2"]
    assert lines[5].startswith("client: 127.0.0.1:")
    assert lines[6] == "request: GET /a?b HTTP/1.1"


def test_requests_follow_each_other_on_one_connection(running: Running) -> None:
    chunked = b"POST /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"
    sized = b"PUT /1 HTTP/1.1\r\nContent-Length: 4\r\n\r\nGET "
    last = b"GET /3 HTTP/1.1\r\nConnection: close\r\n\r\n"
    answers = running.talk(sized + chunked + last)
    assert [path for path in (b"PUT /1 ", b"POST /2 ", b"GET /3 ") if b"request: " + path in answers] == [
        b"PUT /1 ",
        b"POST /2 ",
        b"GET /3 ",
    ]
    assert answers.count(b"HTTP/1.1 200 OK") == 3


def test_head_has_no_body_and_http_1_0_closes(running: Running) -> None:
    assert running.talk(b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n").endswith(b"\r\n\r\n")
    assert b"Connection: close" in running.talk(b"GET / HTTP/1.0\r\n\r\n")


def test_an_expected_continue_is_given(running: Running) -> None:
    with running.connect() as made:
        made.sendall(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert made.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        made.sendall(b"ok")
        assert made.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_what_is_no_http_gets_plain_text(running: Running) -> None:
    assert running.talk(b"hello\n").startswith(b"image: img:1\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", b"431"),
    ],
)
def test_malformed_requests_are_refused(running: Running, request_: bytes, status: bytes) -> None:
    assert running.talk(request_, lambda got: b"\r\n\r\n" in got).split(b" ")[1] == status


def test_many_connections_at_once(running: Running) -> None:
    opened = [running.connect() for _ in range(200)]
    for made in opened:
        made.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert all(made.recv(65536).startswith(b"HTTP/1.1 200 OK") for made in opened)
    for made in opened:
        made.close()


def test_a_port_added_later_opens_without_a_restart(running: Running) -> None:
    port = _free_port()
    running.file.write_text(replace(running.config, maybe=(port,)).text())
    running.process.send_signal(signal.SIGHUP)
    assert running.process.stdout is not None
    assert running.process.stdout.readline().decode() == f"stand-in for img:1 listens on {port}/tcp\n"
    with running.connect(port) as made:
        made.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert made.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_it_answers_while_it_drains_and_then_ends_with_0(running: Running) -> None:
    with running.connect() as kept:
        running.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert b"Connection: close" in running.talk(b"GET / HTTP/1.1\r\n\r\n")
        kept.sendall(b"GET /kept HTTP/1.1\r\n\r\n")
        assert b"GET /kept" in kept.recv(65536)
        assert running.process.wait(timeout=60) == 0
    assert time.monotonic() - began > 0.4


def test_requests_that_are_far_apart_are_awaited_for_longer(running: Running) -> None:
    for _ in range(3):
        running.talk(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        time.sleep(0.4)
    running.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert running.process.wait(timeout=60) == 0
    assert time.monotonic() - began > 0.7


def test_a_declared_port_that_is_taken_ends_it(server: Path, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("", 0))
        holder.listen()
        port = holder.getsockname()[1]
        (tmp_path / "config").write_text(f"image x\ntcp {port}\n")
        ended = subprocess.run([server, tmp_path / "config"], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stdout == f"cannot listen on {port}/tcp: Address already in use\n"
