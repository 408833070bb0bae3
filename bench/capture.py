"""Capturing a flood of packets: ours at two points at once, and tcpdump at one of them.

Two namespaces on one veth pair; the flood is sent twice a run, so that both see the same. The figure is how many
packets a second of the flood were written, a point; what the kernel had to drop is counted, and compared with what is
missing.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import harness
from bench.harness import Session
from netsim import firewall, namespace, programs
from netsim.capture import Point, Recorder
from netsim.mark import Mark
from netsim.namespace import namespace_path

CLUSTER = f"bench{os.getpid()}"
LEFT, RIGHT = f"{CLUSTER}-left", f"{CLUSTER}-right"
ADDRESSES = ("10.99.0.1", "10.99.0.2")
PACKETS, BYTES, PORT = 400_000, 200, 9
FILTER = f"udp port {PORT}"
COMMAND_SECONDS = 60.0
SINK = f"""
table ip sink {{
  chain in {{
    type filter hook input priority 0
    udp dport {PORT} drop
  }}
}}
"""
_DROPPED = re.compile(r"(\d+) packets? dropped by kernel")


def run(session: Session) -> None:
    """Reports the figures."""
    program = shutil.which("tcpdump")
    with tempfile.TemporaryDirectory() as scratch, _pair():
        flood = programs.ensure_built(Path(__file__).with_name("flood.c"), Path(scratch))
        ours, reference, missing = [], [], []
        for _ in range(session.runs):
            if program is not None:
                reference.append(_by_tcpdump(program, flood, Path(scratch)))
            rate, uncounted = _by_us(flood, Path(scratch))
            ours.append(rate)
            missing.append(uncounted)
    figure = f"packets captured at 2 points, {BYTES} bytes each, a point"
    session.report(figure, ours, reference or None, "packets/s", ">= 0.5x", reference_is="tcpdump at 1 point")
    session.report("packets neither written nor counted as dropped", max(missing), None, "packets", "<= 0")


def _by_us(flood: Path, scratch: Path) -> tuple[float, float]:
    file = scratch / "ours.pcapng"
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    points = [Point(namespace_path(name), "v0", name) for name in (LEFT, RIGHT)]
    recorder = Recorder(points, descriptor, cache=scratch, cluster=CLUSTER, filter_text=FILTER)
    try:
        recorder.start()
        began = time.perf_counter()
        _flood(flood)
        tallies = recorder.stop()
        took = time.perf_counter() - began
    finally:
        recorder.kill()
        os.close(descriptor)
    uncounted = PACKETS - (tallies[0].written + tallies[0].dropped)
    return sum(tally.written for tally in tallies) / len(tallies) / took, uncounted


def _by_tcpdump(program: str, flood: Path, scratch: Path) -> float:
    argv = ["ip", "netns", "exec", LEFT, program, "-i", "v0", "-w", str(scratch / "theirs.pcap"), "-U", FILTER]
    # -U: written as it comes, as ours is.
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as capturing:
        assert capturing.stderr is not None
        while "listening on" not in capturing.stderr.readline():
            if capturing.poll() is not None:
                raise RuntimeError("tcpdump ended")
        began = time.perf_counter()
        _flood(flood)
        capturing.send_signal(signal.SIGINT)
        said = capturing.stderr.read()
        took = time.perf_counter() - began
    match = _DROPPED.search(said)
    return (PACKETS - int(match[1] if match else 0)) / took


def _flood(program: Path) -> None:
    argv = ["ip", "netns", "exec", LEFT, str(program), ADDRESSES[1], str(PORT), str(PACKETS), str(BYTES)]
    subprocess.run(argv, capture_output=True, timeout=COMMAND_SECONDS, check=True)


@contextmanager
def _pair() -> Iterator[None]:
    for name in (LEFT, RIGHT):
        namespace.create_namespace(name, Mark(CLUSTER, "pod", name))
    try:
        firewall.run(["ip", "-n", LEFT, "link", "add", "v0", "type", "veth", "peer", "v0", "netns", RIGHT])
        for name, address in zip((LEFT, RIGHT), ADDRESSES, strict=True):
            firewall.run(["ip", "-n", name, "address", "add", f"{address}/24", "dev", "v0"])
            firewall.run(["ip", "-n", name, "link", "set", "v0", "up"])
        # The peer throws the flood away before it could answer that nobody listens.
        with namespace.entered(namespace_path(RIGHT)):
            firewall.nft(SINK)
        yield
    finally:
        for name in (LEFT, RIGHT):
            namespace.delete_namespace(name)


if __name__ == "__main__":
    harness.main(run)
