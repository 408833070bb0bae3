"""Requests a second of the API server: 16 connections over TLS, client and server on the same cores.

Beside each figure stands a bare server on the same framework; beside the creates SQLite alone too.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from bench import api_load, harness
from bench.api_server import TOKEN

PODS = 2000
LISTED = 1000
LISTS = 200
PATCHES = 2000
GETS = 10_000
START_LIMIT_SECONDS = 30
COMMIT_GROUP = 16

Figures = dict[str, float]


def run(session: harness.Session) -> None:
    """Measures all figures of one server, then of the other, as often as the session says."""
    ours = [_measure("ours") for _ in range(session.runs)]
    bare = [_measure("bare") for _ in range(session.runs)]
    targets = {"create": ">= 1500", "create p99": "<= 50", "get": ">= 5000", "patch": ">= 1400", "list 1000": ">= 80"}
    for figure, target in targets.items():
        unit = "ms" if figure.endswith("p99") else "/s"
        session.report(
            f"pod {figure}",
            [run[figure] for run in ours],
            [run[figure] for run in bare],
            unit,
            target,
            reference_is="bare server",
        )
    alone = [_sqlite_alone() for _ in range(session.runs)]
    session.report("pod create", [run["create"] for run in ours], alone, "/s", reference_is="SQLite alone")
    for figure, target in (("memory, 10,000 pods", "<= 250"), ("start, 10,000 objects", "<= 1.5")):
        found = [run[figure] for run in ours]
        session.report(figure, found, None, "MB" if "memory" in figure else "s", target)


def pod(name: str) -> bytes:
    """A pod such as people write."""
    container = {
        "name": "web",
        "image": "nginx:1.27",
        "ports": [{"containerPort": 80}],
        "env": [{"name": "GREETING", "value": "hello"}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
    }
    metadata = {"name": name, "labels": {"app": "web", "tier": "front"}}
    return orjson.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})


def _measure(which: str) -> Figures:
    base = "/api/v1/namespaces/default/pods"
    found: Figures = {}

    def load(url: str, method: str, paths: Iterator[tuple[str, bytes]], content_type: str = "") -> api_load.Load:
        made = (api_load.request(method, path, body, content_type, TOKEN) for path, body in paths)
        return api_load.run(url, made)

    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        directory = Path(name)
        with server(which, directory) as (url, process):
            creates = load(url, "POST", ((base, pod(f"web-{i}")) for i in range(LISTED)), "application/json")
            found["list 1000"] = load(url, "GET", ((base, b"") for _ in range(LISTS))).rate
            creates = load(url, "POST", ((base, pod(f"more-{i}")) for i in range(PODS)), "application/json")
            found["create"], found["create p99"] = creates.rate, creates.p99
            found["get"] = load(url, "GET", ((f"{base}/web-{i % LISTED}", b"") for i in range(GETS))).rate
            change = [orjson.dumps({"metadata": {"annotations": {"step": str(i)}}}) for i in range(PATCHES)]
            patches = ((f"{base}/web-{i % LISTED}", change[i]) for i in range(PATCHES))
            found["patch"] = load(url, "PATCH", patches, "application/merge-patch+json").rate
            if which == "ours":
                load(url, "POST", ((base, pod(f"rest-{i}")) for i in range(10_000 - LISTED - PODS)), "application/json")
                found["memory, 10,000 pods"] = _resident(process.pid)
        if which == "ours":
            found["start, 10,000 objects"] = _start_seconds(directory)
    return found


@contextmanager
def server(which: str, directory: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL and the process of a running server, "ours" or "bare"."""
    argv = [sys.executable, "-m", "bench.api_server", which, str(directory)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.stdin.close()
            process.wait(START_LIMIT_SECONDS)


def _start_seconds(directory: Path) -> float:
    begun = time.perf_counter()
    with server("ours", directory):
        return time.perf_counter() - begun


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _sqlite_alone() -> float:
    """Rows of a pod's size a second, 16 to a commit, in one thread."""
    body = pod("web") * 3
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        connection = sqlite3.connect(Path(name, "alone.db"), isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE bodies (revision INTEGER PRIMARY KEY, value BLOB)")
        begun = time.perf_counter()
        for _ in range(PODS // COMMIT_GROUP):
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO bodies (value) VALUES (?)", [(body,)] * COMMIT_GROUP)
            connection.execute("COMMIT")
        seconds = time.perf_counter() - begun
        connection.close()
    return PODS / seconds


if __name__ == "__main__":
    harness.main(run)
