"""What the server counts of itself, as Prometheus text at /metrics.

Names and labels are kube-apiserver's and the Prometheus process collector's, so that dashboards made
for those work. Counting costs a request about a microsecond; everything else is asked for when
somebody reads. There is nothing here that upstream does not have.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from controlplane.server.exchange import Exchange
from controlplane.server.registry import Registry

CONTENT_TYPE = "text/plain; version=0.0.4"
CLIENT_GONE = 499
"""The code of a request whose caller did not wait for its end."""

SECONDS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0)
SECONDS_TEXT = tuple(f"{bound:g}" for bound in (*SECONDS, float("inf")))

LONG_RUNNING = frozenset(("WATCH", "CONNECT"))
_VERBS = {
    "get": "GET",
    "list": "LIST",
    "watch": "WATCH",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "apply": "APPLY",
    "delete": "DELETE",
    "deletecollection": "DELETECOLLECTION",
    "connect": "CONNECT",
}
_LABELS = ("verb", "group", "version", "resource", "subresource", "scope")
_NO_TARGET = ("", "", "", "", "")

Labels = tuple[str, ...]


class Histogram:
    """Durations in buckets; the last takes what is above all bounds."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds


class Metrics:
    """Counts of one server since it started."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._started = time.time()
        self._requests: dict[Labels, int] = {}
        self._durations: dict[Labels, Histogram] = {}

    def count(self, exchange: Exchange, code: int, seconds: float) -> None:
        """Counts a request that has ended; watches and streams are counted, and not timed."""
        verb = _VERBS.get(exchange.verb) or _VERBS.get(exchange.request.method.lower(), "other")
        target = exchange.target
        if target is None:
            labels: Labels = (verb, *_NO_TARGET)
        else:
            kind = target.kind
            scope = "resource" if target.name else "namespace" if target.namespace else "cluster"
            labels = (verb, kind.group, kind.version, kind.plural, target.subresource, scope)
        if not code:
            code = 200 if verb in LONG_RUNNING else CLIENT_GONE
        counted = (*labels, str(code))
        self._requests[counted] = self._requests.get(counted, 0) + 1
        if verb not in LONG_RUNNING:
            histogram = self._durations.get(labels)
            if histogram is None:
                histogram = self._durations[labels] = Histogram()
            histogram.add(seconds)

    def text(self) -> str:
        """Everything, in Prometheus' text format."""
        return "\n".join([*self._request_lines(), *self._store_lines(), *_process_lines(self._started), ""])

    def _request_lines(self) -> Iterator[str]:
        name = "apiserver_request_total"
        yield from _head(name, "counter", "Counter of apiserver requests.")
        for labels, count in sorted(self._requests.items()):
            yield f"{name}{_shown((*_LABELS, 'code'), labels)} {count}"
        name = "apiserver_request_duration_seconds"
        yield from _head(name, "histogram", "Response latency distribution in seconds; watches and streams left out.")
        for labels, histogram in sorted(self._durations.items(), key=lambda item: item[0]):
            below = 0
            for bound, count in zip(SECONDS_TEXT, histogram.buckets, strict=True):
                below += count
                shown = _shown((*_LABELS, "le"), (*labels, "+Inf" if bound == "inf" else bound))
                yield f"{name}_bucket{shown} {below}"
            yield f"{name}_sum{_shown(_LABELS, labels)} {histogram.total:.6f}"
            yield f"{name}_count{_shown(_LABELS, labels)} {below}"

    def _store_lines(self) -> Iterator[str]:
        name = "apiserver_resource_objects"
        yield from _head(name, "gauge", "Number of stored objects.")
        store = self._registry.store
        for resource in sorted(store.resources()):
            plural, _, group = resource.partition(".")
            yield f"{name}{_shown(('group', 'resource'), (group, plural))} {store.count(resource)}"


def _process_lines(started: float) -> Iterator[str]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    values: Mapping[str, tuple[str, str, float]] = {
        "process_cpu_seconds_total": ("counter", "User and system CPU time spent.", time.process_time()),
        "process_open_fds": ("gauge", "Number of open file descriptors.", len(os.listdir("/proc/self/fd"))),
        "process_resident_memory_bytes": ("gauge", "Resident memory size.", pages * os.sysconf("SC_PAGE_SIZE")),
        "process_start_time_seconds": ("gauge", "When the API server started, since the epoch.", started),
    }
    for name, (type_, help_, value) in values.items():
        yield from _head(name, type_, help_)
        yield f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"


def _head(name: str, type_: str, help_: str) -> Iterable[str]:
    return f"# HELP {name} {help_}", f"# TYPE {name} {type_}"


def _shown(names: Iterable[str], values: Iterable[str]) -> str:
    """Labels; no value here needs escaping, for the paths of unknown resources are not among them."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in zip(names, values, strict=True)) + "}"
