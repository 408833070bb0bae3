"""Faults in the kernel, with real packets: each kind comes, another process finds it as it is, and it goes again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from netsim import namespace
from netsim.errors import MissingRequirement, NetsimError
from netsim.faults import (
    Book,
    Cut,
    LinkDown,
    Match,
    NamesLost,
    RouteRemoved,
    RuleRemoved,
    Shape,
    SmallMtu,
    Stopped,
    require_shape,
    table_of,
)
from netsim.mark import Mark
from netsim.namespace import namespace_path
from netsim.probe.features import has_netem
from tests.conftest import Eventually
from tests.kernel.world import attempt, run


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "faults")


@pytest.fixture
def line(cluster: str) -> Iterator[tuple[str, str, str]]:
    """Three namespaces in a row: 10.9.1.2, a router that is 10.9.1.1 and 10.9.2.1, and 10.9.2.2."""
    names = left, middle, right = tuple(f"{cluster}-{word}" for word in ("left", "middle", "right"))
    for name in names:
        namespace.create_namespace(name, Mark(cluster, "node", name))
    try:
        for number, end in ((1, left), (2, right)):
            peer = ["peer", "name", "eth0", "netns", end]
            run("ip", "-n", middle, "link", "add", f"to{number}", "type", "veth", *peer)
            run("ip", "-n", middle, "addr", "add", f"10.9.{number}.1/24", "dev", f"to{number}")
            run("ip", "-n", end, "addr", "add", f"10.9.{number}.2/24", "dev", "eth0")
            run("ip", "-n", middle, "link", "set", f"to{number}", "up")
            run("ip", "-n", end, "link", "set", "eth0", "up")
            run("ip", "-n", end, "route", "add", "default", "via", f"10.9.{number}.1")
        run("sysctl", "-qw", "net.ipv4.ip_forward=1", netns=middle)
        yield left, middle, right
    finally:
        for name in names:
            namespace.delete_namespace(name)


def path(name: str) -> str:
    return str(namespace_path(name))


def pings(netns: str, address: str, *options: str) -> bool:
    return attempt("ping", "-c1", "-W1", *options, address, netns=netns).returncode == 0


def pinged(netns: str, address: str, count: int) -> tuple[int, float]:
    """How many of so many echoes came back, and the shortest way in ms."""
    said = run("ping", f"-c{count}", "-i0.05", "-W10", address, netns=netns)
    return int(said.split(" received")[0].split()[-1]), float(said.rsplit("= ", 1)[1].split("/")[0])


def test_a_cut_holds_between_its_ends_only_and_others_do_not_notice(line: tuple[str, str, str], book: Book) -> None:
    left, middle, right = line
    one_way = Cut(path(middle), ((("10.9.1.2",), ("10.9.2.0/24",)),))
    book.bring_about("a.b-c", [one_way])
    assert not pings(left, "10.9.2.2")
    assert pings(left, "10.9.1.1")
    book.bring_about("other", [Cut(path(middle), ((("10.9.9.9",), ("10.9.2.2",)),))])
    before = run("nft", "-a", "list", "table", "ip", table_of("other"), netns=middle)
    book.bring_about("a.b-c", [Cut(path(middle), ((("10.9.2.2",), ("10.9.1.1",)),))])
    assert pings(left, "10.9.2.2")
    assert not pings(right, "10.9.1.1")
    assert run("nft", "-a", "list", "table", "ip", table_of("other"), netns=middle) == before
    book.bring_about("a.b-c", [])
    assert pings(right, "10.9.1.1")
    assert book.faults() == ["other"]


def test_a_cut_without_a_second_end_is_isolation(line: tuple[str, str, str], book: Book) -> None:
    left, middle, right = line
    book.bring_about("alone", [Cut(path(middle), ((("10.9.1.2",), ()), ((), ("10.9.1.2",))))])
    assert not pings(left, "10.9.1.1")
    assert not pings(right, "10.9.1.2")
    assert pings(right, "10.9.1.1")


def test_another_process_finds_and_heals_it(line: tuple[str, str, str], book: Book, tmp_path: Path) -> None:
    left, middle, _ = line
    cut = Cut(path(middle), ((("10.9.1.2",), ("10.9.2.2",)),))
    book.bring_about("kept", [cut])
    run("nft", "flush", "ruleset", netns=middle)
    assert pings(left, "10.9.2.2")
    successor = Book(tmp_path / "faults")
    successor.bring_about("kept", [cut])
    assert not pings(left, "10.9.2.2")
    successor.bring_about("kept", [])
    assert pings(left, "10.9.2.2")
    assert "netsim" not in run("nft", "list", "tables", netns=middle)


def test_names_are_lost_and_others_are_not(line: tuple[str, str, str], book: Book) -> None:
    left, middle, right = line
    names = ("web.shop.svc.cluster.local", "x.y.")
    book.bring_about("names", [NamesLost(path(middle), ("10.9.1.2",), names)])
    with namespace.entered(path(right)):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with namespace.entered(path(left)):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with server, client:
        server.bind(("10.9.2.2", 53))
        server.settimeout(0.3)

        def arrives(name: str) -> bool:
            client.sendto(_query(name), ("10.9.2.2", 53))
            try:
                return server.recv(512) == _query(name)
            except TimeoutError:
                return False

        assert arrives("up.example")
        assert not arrives("web.shop.svc.cluster.local")
        assert not arrives("web.shop.svc.cluster.local.shop.svc.cluster.local")
        assert not arrives("wEb.SHOP.sVc.cluster.LoCaL"), "names are the same in whatever case"
        assert not arrives("x.y")
        assert not arrives("X.Y")
        assert arrives("web.shop")
        assert arrives("x.y.z")
        assert arrives("Xy")
        book.bring_about("names", [NamesLost(path(middle), ("10.9.1.2",), ("*",))])
        assert not arrives("up.example")
        book.bring_about("names", [])
        assert arrives("web.shop.svc.cluster.local")


def _query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return bytes.fromhex("1234 0100 0001 0000 0000 0000") + labels + b"\0" + bytes.fromhex("0001 0001")


def test_a_rate_holds_for_what_it_matches_beside_another(line: tuple[str, str, str], book: Book) -> None:
    left, _, right = line
    slow = Shape(path(left), "eth0", (Match(target="10.9.2.2/32"),), rate=2_000_000)
    book.bring_about("slow", [slow])
    book.bring_about("slower", [Shape(path(left), "eth0", (Match(target="10.9.7.0/24"),), rate=1_000_000)])
    assert 1_000_000 < _rate(left, right, "10.9.2.2") < 3_000_000
    book.bring_about("slower", [])
    assert "rate 2Mbit" in run("tc", "class", "show", "dev", "eth0", netns=left)
    book.bring_about("slow", [slow.__class__(slow.netns, slow.ifname, slow.matches, rate=4_000_000)])
    assert "rate 4Mbit" in run("tc", "class", "show", "dev", "eth0", netns=left)
    book.bring_about("slow", [])
    assert "htb" not in run("tc", "qdisc", "show", "dev", "eth0", netns=left)


def _rate(source: str, target: str, address: str) -> float:
    """Bits a second at which 300 kB arrive over TCP."""
    with namespace.entered(path(target)):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with namespace.entered(path(source)):
        sending = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listening, sending:
        listening.bind((address, 0))
        listening.listen()
        sending.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            began, received = time.monotonic(), 0
            sending.settimeout(10)
            accepted.settimeout(10)
            threading.Thread(target=sending.sendall, args=(b"x" * 300_000,)).start()
            while received < 300_000:
                received += len(accepted.recv(65536))
            return received * 8 / (time.monotonic() - began)


def test_a_queue_of_somebody_else_is_not_displaced(line: tuple[str, str, str], book: Book) -> None:
    left, _, _ = line
    run(
        "tc",
        "qdisc",
        "add",
        "dev",
        "eth0",
        "root",
        "tbf",
        "rate",
        "1mbit",
        "burst",
        "9000",
        "latency",
        "9ms",
        netns=left,
    )
    with pytest.raises(NetsimError, match="queue of its own, tbf"):
        book.bring_about("slow", [Shape(path(left), "eth0", (Match(),), rate=2_000_000)])
    book.bring_about("slow", [])
    assert "tbf" in run("tc", "qdisc", "show", "dev", "eth0", netns=left)


def test_delay_and_loss(line: tuple[str, str, str], book: Book) -> None:
    left, _, _ = line
    if not has_netem():
        with pytest.raises(MissingRequirement, match="sch_netem"):
            require_shape("fault late", delay=1000)
        pytest.skip("the kernel has no netem")
    late = (Match(target="10.9.2.2"),)
    book.bring_about("late", [Shape(path(left), "eth0", late, delay=80_000)])
    assert pinged(left, "10.9.2.2", 2)[1] >= 79
    book.bring_about("late", [Shape(path(left), "eth0", late, delay=80_000, jitter=40_000)])
    shown = run("tc", "qdisc", "show", "dev", "eth0", netns=left)
    assert "delay 80ms  40ms" in shown
    received, shortest = pinged(left, "10.9.2.2", 20)
    assert received == 20
    assert 39 <= shortest < 80, "some come sooner than the delay says, and others later"
    book.bring_about("late", [Shape(path(left), "eth0", late, loss=50.0)])
    assert 0 < pinged(left, "10.9.2.2", 40)[0] < 40
    book.bring_about("late", [Shape(path(left), "eth0", late, loss=100.0)])
    assert not pings(left, "10.9.2.2")
    assert pings(left, "10.9.1.1")
    book.bring_about("late", [])
    assert pings(left, "10.9.2.2")


def test_a_smaller_mtu(line: tuple[str, str, str], book: Book) -> None:
    left, middle, _ = line
    book.bring_about("mtu", [SmallMtu(path(middle), "to2", 600)])
    assert pings(left, "10.9.2.2", "-s", "500", "-M", "do")
    assert not pings(left, "10.9.2.2", "-s", "800", "-M", "do")
    book.bring_about("mtu", [SmallMtu(path(middle), "to2", 700)])
    book.bring_about("mtu", [])
    assert "mtu 1500" in run("ip", "-n", middle, "link", "show", "to2")


def test_a_link_that_is_down(line: tuple[str, str, str], book: Book, eventually: Eventually) -> None:
    left, middle, _ = line
    book.bring_about("down", [LinkDown(path(middle), "to1")])
    assert not pings(left, "10.9.1.1")
    book.bring_about("down", [])
    eventually(lambda: pings(left, "10.9.1.1"))


def test_a_route_goes_and_comes_back(line: tuple[str, str, str], book: Book) -> None:
    left, _, _ = line
    before = run("ip", "-n", left, "route")
    book.bring_about("lost", [RouteRemoved(path(left), "default")])
    assert "default" not in run("ip", "-n", left, "route")
    book.bring_about("lost", [])
    assert run("ip", "-n", left, "route").split() == before.split() or pings(left, "10.9.2.2")
    with pytest.raises(NetsimError, match=r"no route to 10\.77\.0\.0/16"):
        book.bring_about("none", [RouteRemoved(path(left), "10.77.0.0/16")])
    assert book.faults() == []


def test_a_rule_goes_and_comes_back_to_its_place(line: tuple[str, str, str], book: Book) -> None:
    left, middle, _ = line
    for address in ("10.9.8.1", "10.9.2.2", "10.9.8.2"):
        run("iptables-nft", "-A", "FORWARD", "-d", address, "-j", "DROP", netns=middle)
    before = run("iptables-nft-save", "-t", "filter", netns=middle)
    gone = RuleRemoved(path(middle), "filter", rule="-A FORWARD -d 10.9.2.2/32 -j DROP")
    assert not pings(left, "10.9.2.2")
    book.bring_about("rule", [gone])
    assert pings(left, "10.9.2.2")
    run("iptables-nft", "-A", "FORWARD", "-d", "10.9.2.2", "-j", "DROP", netns=middle)
    book.bring_about("rule", [gone])
    assert pings(left, "10.9.2.2"), "what somebody puts back goes again"
    book.bring_about("rule", [])
    assert _rules(run("iptables-nft-save", "-t", "filter", netns=middle)) == _rules(before)
    book.bring_about("chain", [RuleRemoved(path(middle), "filter", chain="FORWARD")])
    assert pings(left, "10.9.2.2")
    book.bring_about("chain", [])
    assert _rules(run("iptables-nft-save", "-t", "filter", netns=middle)) == _rules(before)


def _rules(saved: str) -> list[str]:
    return [line for line in saved.splitlines() if line.startswith("-A")]


def test_processes_stand_still_and_go_on(book: Book, cluster: str, eventually: Eventually) -> None:
    roots = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/pids")]
    group = next(root for root in roots if (root / "cgroup.procs").exists()) / cluster
    group.mkdir()
    process = subprocess.Popen(["sleep", "100"])
    try:
        (group / "cgroup.procs").write_text(str(process.pid))
        book.bring_about("still", [Stopped(str(group))])
        eventually(lambda: _state(process.pid) == "T")
        book.bring_about("still", [])
        eventually(lambda: _state(process.pid) == "S")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with suppress(OSError):
            group.rmdir()
        assert not os.path.exists(group)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_what_was_in_a_namespace_that_is_gone_is_forgotten(line: tuple[str, str, str], book: Book) -> None:
    left, middle, _ = line
    book.bring_about("gone", [Cut(path(middle), ((("10.9.1.2",), ("10.9.2.2",)),)), SmallMtu(path(left), "eth0", 600)])
    namespace.delete_namespace(middle)
    book.bring_about("gone", [])
    assert book.faults() == []
