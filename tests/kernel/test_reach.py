"""What a socket sees of an address: each result, from a namespace of the test's own."""

from __future__ import annotations

import socket
import threading

from netsim import namespace
from netsim.namespace import namespace_path
from netsim.reach import Attempt, attempt_all
from tests.kernel.world import run

SECONDS = 0.3


def test_each_protocol_and_each_result_all_at_once(netns: str) -> None:
    run("ip", "addr", "add", "10.9.0.1/32", "dev", "lo", netns=netns)
    run("ip", "route", "add", "unreachable", "10.9.1.0/24", netns=netns)
    run("ip", "link", "add", "dead", "type", "bridge", netns=netns)
    run("ip", "link", "set", "dead", "up", netns=netns)
    run("iptables-nft", "-A", "OUTPUT", "-d", "10.9.0.1", "-p", "tcp", "--dport", "81", "-j", "DROP", netns=netns)
    with namespace.entered(namespace_path(netns)):
        listener = socket.create_server(("", 80))
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("", 53))
    receiver.settimeout(5)

    def serve() -> None:
        said, peer = receiver.recvfrom(10)
        receiver.sendto(said, peer)

    thread = threading.Thread(target=serve)
    thread.start()
    wanted = {
        Attempt("10.9.0.1", 80): "ok",
        Attempt("10.9.0.1", 81): "timed out",
        Attempt("10.9.0.1", 82): "refused",
        Attempt("10.9.1.1", 80): "no route",
        Attempt("192.0.2.1", 80): "no route",
        Attempt("10.9.0.1", 53, "udp"): "ok",
        Attempt("10.9.0.1", 54, "udp"): "refused",
        Attempt("10.9.0.1", 0, "icmp"): "ok",
        Attempt("127.0.0.1", 0, "icmp"): "ok",
        Attempt("10.9.1.1", 0, "icmp"): "no route",
    }
    with listener, receiver:
        outcomes = attempt_all(namespace_path(netns), list(wanted), SECONDS)
        thread.join()
    assert dict(zip(wanted, (outcome.result for outcome in outcomes), strict=True)) == wanted
    assert max(outcome.seconds for outcome in outcomes) <= SECONDS


def test_who_is_told_to_stop_does_not_wait_for_the_end(netns: str) -> None:
    run("ip", "link", "set", "lo", "up", netns=netns)
    run("iptables-nft", "-A", "OUTPUT", "-p", "tcp", "-j", "DROP", netns=netns)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    (outcome,) = attempt_all(namespace_path(netns), [Attempt("127.0.0.1", 80)], 3600, stop=stop)
    assert outcome.result == "timed out"
