"""Captures of real packets at two points, read back by tshark."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netsim import capture, namespace
from netsim.capture import FilterRejected, Interface, Packet, Point, Recorder, StreamReader, Tally
from netsim.errors import NotFound
from netsim.mark import Mark
from netsim.namespace import entered, namespace_path
from netsim.packets import PacketPort
from tests.conftest import Eventually
from tests.kernel import world

LEFT, RIGHT = "10.9.0.1", "10.9.0.2"


@pytest.fixture
def pair(cluster: str) -> Iterator[tuple[str, str]]:
    """Two namespaces on one veth pair."""
    names = (f"{cluster}-left", f"{cluster}-right")
    for name in names:
        namespace.create_namespace(name, Mark(cluster, "pod", name))
    world.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns", names[1], netns=names[0])
    for name, address in zip(names, (LEFT, RIGHT), strict=True):
        world.run("ip", "addr", "add", f"{address}/24", "dev", "v0", netns=name)
        world.run("ip", "link", "set", "v0", "up", netns=name)
    yield names
    for name in names:
        namespace.delete_namespace(name)


@pytest.fixture
def record(pair: tuple[str, str], cluster: str, tmp_path: Path) -> Iterator[Callable[..., Recorder]]:
    """Starts a capture at both ends into `capture.pcapng`; kills it at the end of the test."""
    started: list[Recorder] = []
    output = os.open(tmp_path / "capture.pcapng", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)

    def start(filter_text: str = "ip", *, count: int = 0, points: list[Point] | None = None) -> Recorder:
        both = [Point(namespace_path(pair[0]), "v0", "pod/left", "the left one")]
        both += [Point(namespace_path(pair[1]), "v0", "pod/right")]
        recorder = Recorder(
            both if points is None else points,
            output,
            cache=tmp_path / "cache",
            cluster=cluster,
            filter_text=filter_text,
            count=count,
            names={LEFT: "left", RIGHT: "right"},
        )
        started.append(recorder)
        recorder.start()
        return recorder

    yield start
    for each in started:
        each.kill()
    os.close(output)


def tshark(file: Path, *fields: str) -> list[list[str]]:
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("there is no tshark here")
    argv = [
        program,
        "-N",
        "n",
        "-r",
        str(file),
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "udp.check_checksum:TRUE",
        "-T",
        "fields",
    ]
    for field in fields:
        argv += ["-e", field]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def written(file: Path) -> list[Packet]:
    with file.open("rb") as stream:
        return list(StreamReader(stream))


def exchange(pair: tuple[str, str], size: int) -> None:
    """Sends so many bytes from left to right by TCP."""
    with entered(namespace_path(pair[1])):
        listener = socket.create_server((RIGHT, 9000))
    with listener:
        with entered(namespace_path(pair[0])):
            client = socket.create_connection((RIGHT, 9000), timeout=60)
        accepted, _ = listener.accept()
        with client, accepted:
            sender = threading.Thread(target=client.sendall, args=(bytes(size),))
            sender.start()
            left = size
            while left:
                left -= len(accepted.recv(min(left, 1 << 16)))
            sender.join(5)


def test_both_points_on_one_clock_with_right_checksums(
    pair: tuple[str, str], record: Callable[..., Recorder], tmp_path: Path
) -> None:
    recorder = record("tcp")
    exchange(pair, 400_000)
    tallies = recorder.stop()
    rows = tshark(
        tmp_path / "capture.pcapng",
        "frame.interface_name",
        "ip.src_host",
        "ip.dst_host",
        "tcp.checksum.status",
        "frame.time_epoch",
        "tcp.len",
    )
    assert {row[0] for row in rows} == {"pod/left", "pod/right"}
    assert {row[1] for row in rows} == {"left", "right"}, "names for addresses"
    assert {row[3] for row in rows} == {"1"}, "every checksum is right"
    times = [float(row[4]) for row in rows]
    assert times == sorted(times)
    for end in ("pod/left", "pod/right"):
        assert sum(int(row[5]) for row in rows if row[0] == end and row[1] == "left") == 400_000
    assert [tally.dropped for tally in tallies] == [0, 0]
    assert sum(tally.written for tally in tallies) == len(rows)


def test_what_comes_back_is_what_was_written(
    pair: tuple[str, str], record: Callable[..., Recorder], tmp_path: Path
) -> None:
    recorder = record("icmp")
    assert world.ping(RIGHT, netns=pair[0])
    recorder.stop()
    with (tmp_path / "capture.pcapng").open("rb") as file:
        reader = StreamReader(file)
        packets = list(reader)
    assert [(packet.interface, packet.outgoing) for packet in packets] in (
        [(0, True), (1, False), (1, True), (0, False)],
        [(0, True), (1, False), (0, False), (1, True)],
    )
    assert packets[0].data[26:34] == socket.inet_aton(LEFT) + socket.inet_aton(RIGHT)
    assert reader.interfaces == [
        Interface("pod/left", "the left one", Tally(2, 0, 2)),
        Interface("pod/right", "", Tally(2, 0, 2)),
    ]
    assert capture.tallies(tmp_path / "capture.pcapng", 2) == [Tally(2, 0, 2), Tally(2, 0, 2)]


def test_what_came_in_for_another_is_told_from_the_rest(
    pair: tuple[str, str], record: Callable[..., Recorder], tmp_path: Path
) -> None:
    """As a bridge sends to all of its ports what it does not know the way of."""
    recorder = record("ether proto 0x88b5")
    with PacketPort(namespace_path(pair[0]), "v0") as port:
        for target in ("02:00:00:00:00:99", "ff:ff:ff:ff:ff:ff"):
            port.send_frame(bytes.fromhex(target.replace(":", "")) + bytes(6) + b"\x88\xb5" + bytes(46))
    recorder.stop()
    seen = [(packet.interface, packet.outgoing, packet.foreign) for packet in written(tmp_path / "capture.pcapng")]
    assert sorted(seen) == [(0, True, False), (0, True, False), (1, False, False), (1, False, True)]


def test_it_ends_after_count_packets(pair: tuple[str, str], record: Callable[..., Recorder], tmp_path: Path) -> None:
    recorder = record("icmp", count=3)
    assert world.ping(RIGHT, netns=pair[0])
    assert sum(tally.written for tally in recorder.wait(60)) == 3
    assert len(tshark(tmp_path / "capture.pcapng", "frame.number")) == 3


def test_every_packet_is_counted_as_seen_or_dropped(
    pair: tuple[str, str], record: Callable[..., Recorder], tmp_path: Path
) -> None:
    recorder = record("udp port 7")
    with entered(namespace_path(pair[0])):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # The writer is held, so that the rings must run over.
    os.kill(recorder.pid, signal.SIGSTOP)
    sent = 60_000
    with sender:
        sender.connect((RIGHT, 7))
        delivered = sum(_sent(sender, bytes(1200)) for _ in range(sent))
    os.kill(recorder.pid, signal.SIGCONT)
    tallies = recorder.stop()
    assert tallies[0].passed == delivered
    assert tallies[0].dropped > 0
    for tally in tallies:
        assert tally.written == tally.passed - tally.dropped
    rows = tshark(tmp_path / "capture.pcapng", "frame.interface_name")
    assert [sum(row == [name] for row in rows) for name in ("pod/left", "pod/right")] == [
        tally.written for tally in tallies
    ]


def _sent(sender: socket.socket, data: bytes) -> bool:
    try:
        return sender.send(data) > 0
    except ConnectionRefusedError:
        # What the peer answered to an earlier one; this one was not sent.
        return False


def test_a_killed_capture_is_whole_after_trimming(
    pair: tuple[str, str], record: Callable[..., Recorder], tmp_path: Path, eventually: Eventually
) -> None:
    recorder, file = record("icmp"), tmp_path / "capture.pcapng"
    assert world.ping(RIGHT, netns=pair[0])
    eventually(lambda: len(written(file)) == 4)
    recorder.kill()
    size = file.stat().st_size
    with file.open("ab") as end:
        end.write(b"\x06\0\0\0\x80\0\0\0 cut")
    assert capture.trim(file) == 12
    assert file.stat().st_size == size
    assert capture.trim(file) == 0
    assert len(tshark(file, "frame.number")) == 4


DYING = """
import os, signal, sys
from pathlib import Path
from netsim.capture import Point, Recorder
netns, file, cache, cluster, alone = sys.argv[1:]
output = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
recorder = Recorder(
    [Point(Path(netns), "v0", "pod/left")], output, cache=Path(cache), cluster=cluster, filter_text="icmp",
    alone=alone == "alone",
)
recorder.start()
print(recorder.pid, flush=True)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("alone", ["", "alone"])
def test_it_ends_whole_with_who_started_it_unless_alone(
    pair: tuple[str, str], cluster: str, tmp_path: Path, eventually: Eventually, alone: str
) -> None:
    file = tmp_path / "capture.pcapng"
    arguments = [str(namespace_path(pair[0])), str(file), str(tmp_path / "cache"), cluster, alone]
    starter = subprocess.Popen([sys.executable, "-c", DYING, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert starter.stdout is not None
    writer = int(starter.stdout.readline())
    assert world.ping(RIGHT, netns=pair[0])
    starter.communicate(timeout=30)
    if alone:
        assert world.ping(RIGHT, netns=pair[0])
        os.kill(writer, signal.SIGTERM)
    eventually(lambda: capture.tallies(file, 1) != [])
    assert capture.tallies(file, 1) == [Tally(4, 0, 4) if alone else Tally(2, 0, 2)]
    assert len(tshark(file, "frame.number")) == (4 if alone else 2)


def test_what_is_wrong_is_named(record: Callable[..., Recorder], pair: tuple[str, str]) -> None:
    with pytest.raises(FilterRejected, match="syntax error"):
        record("port and and")
    with pytest.raises(NotFound, match="pod/gone"):
        record(points=[Point(namespace_path(pair[0]), "eth9", "pod/gone")])
    with pytest.raises(NotFound):
        record(points=[Point(Path("/run/netns/no-such"), "eth0", "pod/gone")])
