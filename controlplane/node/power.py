"""Switching a node off: every process of it ends, and what a reboot would not keep goes with them.

The agent must have let go before. What the node's disk would keep stays: logs, volumes and writable layers of pods,
and the addresses that pods were given, which the next agent releases.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from controlplane.node.config import NodeConfig
from controlplane.node.errors import NodeError
from controlplane.node.runtime import cgroups
from controlplane.node.runtime.container import is_monitor, read_number
from controlplane.node.runtime.process import send_signal
from controlplane.node.runtime.record import Record
from controlplane.node.sandbox import left_in
from controlplane.node.volumes.staging import let_go
from netsim.errors import InvalidRequest, NotFound
from netsim.inventory import places, processes
from netsim.namespace import delete_namespace, namespace_path
from netsim.syscalls import unmount

ROUNDS = 5
EMPTY_SECONDS = 5.0
POLL_SECONDS = 0.01
SIGKILL = 9


def power_off(config: NodeConfig, *, grace: float = 0.0) -> None:
    """Ends everything that runs on the node, after `grace` seconds in which it is asked to; blocking, safe to repeat.

    Raises NodeError if processes keep starting or do not end.
    """
    if not config.run.exists():
        return
    if grace > 0:
        _ask(config)
        _wait_empty(_cgroup(config), grace)
    for _ in range(ROUNDS):
        # A container that was being made when the agent was stopped may come up in between.
        _kill(config)
        if _wait_empty(_cgroup(config), EMPTY_SECONDS) and not _monitors(config):
            break
    else:
        raise NodeError(f"processes of node {config.name} do not end")
    _take_apart(config)


def _cgroup(config: NodeConfig) -> str:
    return cgroups.node_cgroup(config.cluster, config.name)


def _ask(config: NodeConfig) -> None:
    for bundle in _bundles(config):
        record, pid = Record.read(bundle), read_number(bundle / "pid")
        if record is not None and pid is not None and cgroups.holds(pid, record.cgroup):
            send_signal(pid, record.stop_signal)


def _kill(config: NodeConfig) -> None:
    """Monitors first, so that none of them writes down how its container ended."""
    for pid in _monitors(config):
        send_signal(pid, SIGKILL)
    for pid in cgroups.processes(_cgroup(config)):
        send_signal(pid, SIGKILL)
    # What runs in the node's namespaces without being in a container: shells and servers that somebody started there.
    label = f"{config.cluster}/{config.name}"
    inodes = {}
    for path in (config.namespace, *(namespace_path(each.netns) for each in left_in(config) if each.netns)):
        with suppress(FileNotFoundError):
            inodes[os.stat(path).st_ino] = label
    processes.end(label, inodes, lambda _gone, _number: None)


def _bundles(config: NodeConfig) -> Iterator[Path]:
    yield from (config.run / "containers").glob("*")


def _monitors(config: NodeConfig) -> list[int]:
    found = ((read_number(bundle / "conmon.pid"), bundle.name) for bundle in _bundles(config))
    return [pid for pid, container_id in found if pid is not None and is_monitor(pid, container_id)]


def _wait_empty(cgroup: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while cgroups.processes(cgroup):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _take_apart(config: NodeConfig) -> None:
    for sandbox in left_in(config):
        if sandbox.netns:
            delete_namespace(sandbox.netns, pin_dir=sandbox.path)
    for point in places.mounts([config.run, config.pods]):
        with suppress(NotFound, InvalidRequest):
            unmount(point)
    let_go(config.run / "staged", config.stores)
    cgroups.remove(_cgroup(config))
    shutil.rmtree(config.run, ignore_errors=True)
