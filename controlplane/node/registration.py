"""The Node object: what the node is and has, its conditions, and the Lease that says it is alive."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import platform
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from controlplane.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from controlplane.api.kinds import LEASE, NODE
from controlplane.api.types import Object
from controlplane.api.version import KUBERNETES
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.node.config import NodeConfig
from controlplane.node.connection import Connection
from controlplane.node.pressure import measure
from controlplane.node.runtime.spawner import Spawner
from controlplane.node.status import timestamp
from netsim import files

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
STATUS_SECONDS = 300.0
RETRY_SECONDS = 1.0
_NO_POD_RANGE = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady"
    " message:Network plugin returns error: cni plugin not initialized"
)
BOOT_ID = "boot_id"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """The machine in Kubernetes' words."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def labels(config: NodeConfig) -> dict[str, str]:
    """The well-known labels of the node and those of its config."""
    arch = architecture()
    return {
        "beta.kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "kubernetes.io/hostname": config.name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": config.instance_type,
        "topology.gke.io/zone": config.zone,
        "topology.kubernetes.io/region": config.region,
        "topology.kubernetes.io/zone": config.zone,
        **config.labels,
    }


def capacity(config: NodeConfig) -> dict[str, str]:
    """The size that the node was given, else the host's own: emulated nodes share it, so each of them has all of it."""
    disk = os.statvfs(config.state_directory)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": config.cpu or str(os.cpu_count() or 1),
        "ephemeral-storage": f"{disk.f_blocks * disk.f_frsize // 1024}Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": config.memory or f"{pages // 1024}Ki",
        "pods": str(config.max_pods),
    }


@functools.cache
def _os_image() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def _machine_id(config: NodeConfig) -> uuid.UUID:
    """The same for as long as the node exists, as that of a disk is."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, f"{config.name}.{config.cluster}")


def _boot_id(config: NodeConfig) -> str:
    """Another one each time that the node is switched on, for its run directory goes when it is switched off."""
    path = config.run / BOOT_ID
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, f"{uuid.uuid4()}\n".encode())
    return path.read_text().strip()


class Registration:
    """Keeps the Node object and the Lease of one node right, while the API server can be reached from the node.

    `back` is called when it can again after it could not; `images` says which the node has.
    """

    def __init__(
        self,
        client: Client,
        recorder: EventRecorder,
        config: NodeConfig,
        spawner: Spawner,
        connection: Connection,
        *,
        back: Callable[[], None],
        images: Callable[[], list[Object]] = list,
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._config = config
        self._spawner = spawner
        self._connection = connection
        self._back = back
        self._images = images
        self.allocatable = capacity(config) if config.state_directory.exists() else {}

    async def register(self) -> Object:
        """Creates the Node, or corrects the one that is there, and writes it Ready; returns it."""
        await self._wait_connected()
        config = self._config
        self.allocatable = capacity(config)
        wanted: Object = {
            "apiVersion": NODE.api_version,
            "kind": NODE.name,
            "metadata": {"name": config.name, "labels": labels(config)},
            "spec": {"podCIDR": config.pod_cidr, "podCIDRs": [config.pod_cidr]} if config.pod_cidr else {},
        }
        taints = {"taints": [dict(taint) for taint in config.taints]} if config.taints else {}
        try:
            # The taints only here: whoever takes one off later means it.
            node = await self._client.create(NODE, {**wanted, "spec": {**wanted["spec"], **taints}})
        except AlreadyExists:
            body = {"metadata": {"labels": labels(config)}, "spec": wanted["spec"]}
            node = await self._client.patch(NODE, config.name, body=body)
        booted = (node.get("status") or {}).get("nodeInfo", {}).get("bootID")
        node = await self._write_status(node)
        about = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": config.name, "uid": config.name}}
        self._recorder.event(about, "Normal", "Starting", "Starting kubelet.")
        boot = _boot_id(config)
        if booted and booted != boot:
            message = f"Node {config.name} has been rebooted, boot id: {boot}"
            self._recorder.event(about, "Warning", "Rebooted", message)
        ready = ("NodeReady",) if config.pod_cidr else ("NodeNotReady", "CIDRNotAvailable")
        for reason in (*(found.event for found in measure(config.state_directory)), *ready):
            self._recorder.event(about, "Normal", reason, f"Node {config.name} status is now: {reason}")
        return node

    async def run(self) -> None:
        """Renews the Lease, and the status now and then, until cancelled."""
        written = time.monotonic()
        while True:
            await self._wait_connected()
            try:
                await self._renew()
                node = await self._client.get(NODE, self._config.name)
                if time.monotonic() - written > STATUS_SECONDS or self._outdated(node):
                    await self._write_status(node)
                    written = time.monotonic()
            except NotFound:
                # Somebody deleted the Node. A kubelet registers when it starts and not again, and so it is here.
                log.info("the Node is not in the API any more", extra={"node": self._config.name})
            except Conflict:
                continue
            except (ApiError, OSError):
                # The API may be starting anew; a Lease that stays behind is what tells the others.
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await asyncio.sleep(RENEW_SECONDS)

    async def _wait_connected(self) -> None:
        """Returns once the API server can be reached; what was missed meanwhile is made up for."""
        was_up = self._connection.up
        while not await self._connection.check():
            if was_up:
                log.warning("the API server cannot be reached from the node", extra={"node": self._config.name})
            was_up = False
            await asyncio.sleep(RETRY_SECONDS)
        if not was_up:
            self._back()

    def _outdated(self, node: Object) -> bool:
        """Whether the node is no longer as its status says, or somebody else has said something of it meanwhile: that
        it is not heard of, when it was slow."""
        said = {c["type"]: c["status"] for c in (node.get("status") or {}).get("conditions") or []}
        found = measure(self._config.state_directory)
        changed = any(said.get(one.kind) != one.status for one in found) or said.get("Ready") != self._ready()[0]
        return changed or ((node.get("status") or {}).get("images") or []) != self._images()

    def _ready(self) -> tuple[str, str, str]:
        """Status, reason and message of the condition Ready."""
        if self._config.pod_cidr:
            return "True", "KubeletReady", "kubelet is posting ready status"
        return "False", "KubeletNotReady", _NO_POD_RANGE

    async def _renew(self) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        try:
            await self._client.patch(LEASE, self._config.name, LEASE_NAMESPACE, body={"spec": {"renewTime": now}})
        except NotFound:
            node = await self._client.get(NODE, self._config.name)
            owner = {
                "apiVersion": "v1",
                "kind": "Node",
                "name": node["metadata"]["name"],
                "uid": node["metadata"]["uid"],
            }
            lease = {
                "apiVersion": LEASE.api_version,
                "kind": LEASE.name,
                "metadata": {"name": self._config.name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
                "spec": {
                    "holderIdentity": self._config.name,
                    "leaseDurationSeconds": LEASE_SECONDS,
                    "renewTime": now,
                },
            }
            await self._client.create(LEASE, lease, LEASE_NAMESPACE)

    async def _write_status(self, node: Object) -> Object:
        status = self._status(node.get("status") or {})
        return await self._client.patch(NODE, self._config.name, body={"status": status}, subresource="status")

    def _status(self, old: Object) -> Object:
        config, now = self._config, timestamp(time.time())
        before = {condition["type"]: condition for condition in old.get("conditions") or []}
        found = measure(config.state_directory)
        states = [(one.kind, one.status, one.reason, one.message) for one in found]
        states.append(("Ready", *self._ready()))
        conditions = []
        for kind, status, reason, message in states:
            previous = before.get(kind, {})
            kept = previous.get("status") == status
            conditions.append(
                {
                    "type": kind,
                    "status": status,
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": previous["lastTransitionTime"] if kept else now,
                    "reason": reason,
                    "message": message,
                }
            )
        others = [condition for kind, condition in before.items() if kind not in {state[0] for state in states}]
        system = platform.uname()
        return {
            "addresses": [
                {"type": "InternalIP", "address": config.address},
                {"type": "Hostname", "address": config.name},
            ],
            "capacity": capacity(config),
            "allocatable": capacity(config),
            "conditions": conditions + others,
            "images": self._images(),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": architecture(),
                "bootID": _boot_id(config),
                "containerRuntimeVersion": f"{self._spawner.runtime_name}://{self._spawner.runtime_version}",
                "kernelVersion": system.release,
                "kubeProxyVersion": "",
                "kubeletVersion": KUBERNETES,
                "machineID": _machine_id(config).hex,
                "operatingSystem": "linux",
                "osImage": _os_image(),
                "systemUUID": str(_machine_id(config)),
            },
        }
