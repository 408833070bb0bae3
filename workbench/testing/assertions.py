"""Assertions on what packets do. When one fails it says why, by a trace of a real packet.

A cluster takes a moment to do what it was told: until a Service has endpoints, until a policy's rules are there. So
these try again for up to `within` seconds before they fail.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from netsim.trace import Probe
from netsim.trace.probe import Protocol
from workbench.testing.captured import Captured
from workbench.testing.cluster import Cluster
from workbench.tracing import Story, read_ends

WITHIN_SECONDS = 10.0
_PAUSE_SECONDS = 0.1
_REFUSED = ("policy", "firewall", "no-endpoints", "dropped", "rejected", "partition", "fault")


def assert_reachable(
    cluster: Cluster,
    source: str,
    target: str,
    protocol: Protocol = "tcp",
    *,
    namespace: str = "default",
    within: float = WITHIN_SECONDS,
) -> None:
    """A packet gets there and is answered: `assert_reachable(cluster, "pod/client", "service/web:80")`."""
    __tracebackhide__ = True
    if not _becomes(lambda: _answered(cluster, source, target, protocol, namespace), within):
        story = cluster.trace(source, target, protocol, namespace=namespace)
        raise AssertionError(f"{source} does not reach {target}: {_told(story)}")


def assert_unreachable(
    cluster: Cluster,
    source: str,
    target: str,
    protocol: Protocol = "tcp",
    *,
    namespace: str = "default",
    within: float = WITHIN_SECONDS,
) -> None:
    """Nobody accepts the connection, or answers the packet."""
    __tracebackhide__ = True
    if not _becomes(lambda: not _answered(cluster, source, target, protocol, namespace), within):
        raise AssertionError(f"{source} reaches {target}, {within:g} s long")


def assert_dropped_by(
    cluster: Cluster,
    source: str,
    target: str,
    name: str,
    protocol: Protocol = "tcp",
    *,
    namespace: str = "default",
    within: float = WITHIN_SECONDS,
) -> None:
    """A rule ends the packet: of a policy, the firewall, a fault or a Service without endpoints; `name` names it."""
    __tracebackhide__ = True
    deadline = time.monotonic() + within
    while True:
        story = cluster.trace(source, target, protocol, namespace=namespace)
        if story.result in _REFUSED and name in story.reason:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{source} to {target} is not dropped by {name}: {_told(story)}")
        time.sleep(_PAUSE_SECONDS)


def assert_packets(captured: Captured, filter_text: str, count: int | range) -> None:
    """A capture holds so many packets that a filter of tcpdump takes; a range is from, up to and without.

    A capture that still runs is ended: the file is whole then.
    """
    __tracebackhide__ = True
    found = captured.count(filter_text)
    if found not in (count if isinstance(count, range) else range(count, count + 1)):
        wanted = f"{count.start} to {count.stop - 1}" if isinstance(count, range) else count
        raise AssertionError(
            f"{captured.file} holds {found} packets of {filter_text!r}, not {wanted}, and {captured.count()} in all"
        )


def _becomes(holds: Callable[[], bool], within: float) -> bool:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def _told(story: Story) -> str:
    return f"{story.reason} ({story.result}, at {story.where})" if story.where else f"{story.reason} ({story.result})"


def _answered(cluster: Cluster, source: str, target: str, protocol: Protocol, namespace: str) -> bool:
    with cluster.world() as world:
        start, end = read_ends(world, world.cluster, cluster.directories, (source, target), namespace)
    probe = Probe(start.netns, protocol, end.address, 0 if protocol == "icmp" else end.port)
    _sender, outcome = probe.send()
    return outcome.result == "answered"
