"""Assertions on what packets do. When one fails it says why, by a trace of a real packet."""

from __future__ import annotations

from netsim.trace import Probe
from netsim.trace.probe import Protocol
from workbench.testing.captured import Captured
from workbench.testing.cluster import Cluster
from workbench.tracing import read_ends

_REFUSED = ("policy", "firewall", "no-endpoints", "dropped", "rejected", "partition", "fault")


def assert_reachable(
    cluster: Cluster, source: str, target: str, protocol: Protocol = "tcp", *, namespace: str = "default"
) -> None:
    """A packet gets there and is answered: `assert_reachable(cluster, "pod/client", "service/web:80")`."""
    if not _answered(cluster, source, target, protocol, namespace):
        story = cluster.trace(source, target, protocol, namespace=namespace)
        raise AssertionError(f"{source} does not reach {target}: {story.reason} ({story.result}, at {story.where})")


def assert_unreachable(
    cluster: Cluster, source: str, target: str, protocol: Protocol = "tcp", *, namespace: str = "default"
) -> None:
    """No answer comes."""
    if _answered(cluster, source, target, protocol, namespace):
        raise AssertionError(f"{source} reaches {target}")


def assert_dropped_by(
    cluster: Cluster, source: str, target: str, name: str, protocol: Protocol = "tcp", *, namespace: str = "default"
) -> None:
    """A rule ends the packet: of a policy, the firewall, a fault or a Service without endpoints; `name` names it."""
    story = cluster.trace(source, target, protocol, namespace=namespace)
    if story.result not in _REFUSED or name not in story.reason:
        raise AssertionError(f"{source} to {target} is not dropped by {name}: {story.reason} ({story.result})")


def assert_packets(captured: Captured, filter_text: str, count: int | range) -> None:
    """A capture holds so many packets that a filter of tcpdump takes; a range is from, up to and without."""
    found = captured.count(filter_text)
    if found not in (count if isinstance(count, range) else range(count, count + 1)):
        raise AssertionError(f"{captured.file} holds {found} packets of {filter_text!r}, not {count}")


def _answered(cluster: Cluster, source: str, target: str, protocol: Protocol, namespace: str) -> bool:
    with cluster.world() as world:
        start, end = read_ends(world, world.cluster, cluster.directories, (source, target), namespace)
    probe = Probe(start.netns, protocol, end.address, 0 if protocol == "icmp" else end.port)
    _sender, outcome = probe.send()
    return outcome.result == "answered"
