"""How a sandbox gets its network: a CNI network configuration and the runtime that carries it out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from cni.errors import CniError, Code
from cni.runtime import Attachment, Runtime
from controlplane.api import quantity
from controlplane.api.quantity import QuantityError
from controlplane.api.types import Object
from controlplane.node.config import NodeConfig
from netsim import namespace, offload

INTERFACE = "eth0"
BRIDGE = "cbr0"
BURST_SHARE = 10
"""What a limited pod may send at once is a tenth of what it may send in a second; annotations have no word for it."""
SMALLEST_BURST_BITS = 1_000_000
LOWEST_RATE, HIGHEST_RATE = 10**3, 10**15
NETWORK: Mapping[str, Any] = {
    "cniVersion": "1.1.0",
    "plugins": [
        {
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": True,
            "hairpinMode": True,
            "mtu": "${mtu}",
            "ipam": {
                "type": "host-local",
                "dataDir": "${dataDir}",
                "ranges": [[{"subnet": "${podRange}"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "bandwidth", "capabilities": {"bandwidth": True}},
    ],
}
"""What attaches pods unless cluster.yaml says otherwise (`spec.network.cni`)."""
PLUGIN_DIRECTORIES = (Path("/opt/cni/bin"), Path("/usr/lib/cni"))


class PodNetwork(Protocol):
    """Attaches sandboxes. Called in the node's namespace executor; blocking, raises the CNI errors."""

    def attach(self, sandbox_id: str, netns: Path, pod: Object) -> list[str]:
        """Gives the namespace its interface; returns the pod's addresses."""
        ...

    def detach(self, sandbox_id: str, netns: Path, namespace: str, name: str) -> None:
        """Takes it back; a namespace that is gone already is no error."""
        ...

    def collect(self, sandbox_ids: Iterable[str]) -> None:
        """Releases what belongs to no sandbox any more."""
        ...

    def close(self) -> None:
        """Lets go of what it holds open."""
        ...


class PodGuard(Protocol):
    """Keeps others from a pod, and the pod from others, from its first packet on."""

    async def guard(self, pod: Object, addresses: Sequence[str]) -> None:
        """Returns when what may pass to and from these addresses is settled: containers start after it.

        Raises a `NetsimError` when it cannot be settled.
        """
        ...


def conflist(config: NodeConfig) -> dict[str, Any]:
    """The node's network configuration list: the cluster's own, or a bridge on the node's pod range."""
    return {**_filled(config.cni or NETWORK, config), "name": config.cluster}


def _filled(written: Any, config: NodeConfig) -> Any:
    """With the node's values where a list that is for every node has placeholders."""
    if isinstance(written, Mapping):
        return {key: _filled(value, config) for key, value in written.items()}
    if isinstance(written, list | tuple):
        return [_filled(value, config) for value in written]
    values: dict[Any, Any] = {"${podRange}": config.pod_cidr, "${mtu}": config.mtu, "${dataDir}": str(config.addresses)}
    return values.get(written, written)


def capabilities(pod: Object) -> dict[str, Any]:
    """What a pod asks of its network, as the kubelet passes it: host ports, and the bandwidth of its annotations.

    Raises `CniError` if an annotation is no rate from 1k to 1P, the kubelet's bounds.
    """
    ports = [
        {
            "hostPort": port["hostPort"],
            "containerPort": port["containerPort"],
            "protocol": str(port.get("protocol", "TCP")).lower(),
            "hostIP": port.get("hostIP", ""),
        }
        for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ()))
        for port in container.get("ports", ())
        if port.get("hostPort")
    ]
    limits: dict[str, int] = {}
    for direction in ("ingress", "egress"):
        asked = pod["metadata"].get("annotations", {}).get(f"kubernetes.io/{direction}-bandwidth")
        if asked:
            rate = _rate(direction, asked)
            limits |= {f"{direction}Rate": rate, f"{direction}Burst": max(rate // BURST_SHARE, SMALLEST_BURST_BITS)}
    return ({"portMappings": ports} if ports else {}) | ({"bandwidth": limits} if limits else {})


def _rate(direction: str, asked: str) -> int:
    try:
        rate = quantity.whole(asked)
    except QuantityError as error:
        raise CniError(Code.INVALID_CONFIG, f"annotation kubernetes.io/{direction}-bandwidth", str(error)) from error
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        text = f"{asked} is not from 1k to 1P bits a second"
        raise CniError(Code.INVALID_CONFIG, f"annotation kubernetes.io/{direction}-bandwidth", text)
    return rate


class CniNetwork:
    """The pod network through CNI, as the kubelet's runtimes do it."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._runtime: Runtime | None = None

    def attach(self, sandbox_id: str, netns: Path, pod: Object) -> list[str]:
        metadata = pod["metadata"]
        attachment = self._attachment(sandbox_id, netns, metadata["namespace"], metadata["name"], metadata["uid"])
        result = self._ready().add(replace(attachment, capabilities=capabilities(pod)))
        if not self._config.offloads:
            offload.turn_off(*(each.name for each in result.interfaces if not each.sandbox))
            with namespace.entered(netns):
                offload.turn_off(*(each.name for each in result.interfaces if each.sandbox))
        return [str(ip.address).split("/", 1)[0] for ip in result.ips]

    def detach(self, sandbox_id: str, netns: Path, namespace: str, name: str) -> None:
        self._ready().delete(self._attachment(sandbox_id, netns, namespace, name, ""))

    def collect(self, sandbox_ids: Iterable[str]) -> None:
        self._ready().gc([(sandbox_id, INTERFACE) for sandbox_id in sandbox_ids])

    def close(self) -> None:
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None

    def _attachment(self, sandbox_id: str, netns: Path, namespace: str, name: str, uid: str) -> Attachment:
        arguments = {
            "K8S_POD_NAMESPACE": namespace,
            "K8S_POD_NAME": name,
            "K8S_POD_INFRA_CONTAINER_ID": sandbox_id,
            "K8S_POD_UID": uid,
        }
        return Attachment(sandbox_id, str(netns), INTERFACE, args={"IgnoreUnknown": "1", **arguments})

    def _ready(self) -> Runtime:
        if self._runtime is None:
            directory = self._config.run / "cni"
            directory.mkdir(parents=True, exist_ok=True)
            text = json.dumps(conflist(self._config), indent=2)
            (directory / "10-netsim.conflist").write_text(text + "\n")
            self._runtime = Runtime(json.loads(text), PLUGIN_DIRECTORIES, directory / "cache")
        return self._runtime
