"""A pod as the scheduler sees it: its constraints read once, compared often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controlplane.api.types import Object
from controlplane.scheduler.resources import Amounts, pod_requests, score_requests

HostPort = tuple[str, str, int]
"""Address ("0.0.0.0" for any), protocol, port."""

ANY_ADDRESS = "0.0.0.0"


@dataclass(frozen=True, slots=True, eq=False)
class PodInfo:
    """`controller` is the uid of the managing owner, "" where there is none."""

    pod: Object
    namespace: str
    name: str
    uid: str
    labels: dict[str, str]
    controller: str
    priority: int
    requests: Amounts
    score_cpu: int
    score_memory: int
    host_ports: tuple[HostPort, ...]

    @classmethod
    def of(cls, pod: Object) -> PodInfo:
        """Reads the parts of a pod that every scheduling decision needs."""
        metadata, spec = pod["metadata"], pod["spec"]
        requests = pod_requests(spec)
        cpu, memory = score_requests(spec, requests)
        return cls(
            pod=pod,
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            labels=metadata.get("labels") or {},
            controller=_controller(metadata),
            priority=spec.get("priority") or 0,
            requests=requests,
            score_cpu=cpu,
            score_memory=memory,
            host_ports=_host_ports(spec),
        )

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.pod["spec"]
        return spec

    @property
    def affinity(self) -> dict[str, Any]:
        """spec.affinity, empty where there is none."""
        return self.pod["spec"].get("affinity") or {}

    @property
    def tolerations(self) -> list[dict[str, Any]]:
        return self.pod["spec"].get("tolerations") or []

    @property
    def is_deleting(self) -> bool:
        return "deletionTimestamp" in self.pod["metadata"]


def _controller(metadata: dict[str, Any]) -> str:
    references = metadata.get("ownerReferences") or ()
    return next((reference["uid"] for reference in references if reference.get("controller")), "")


def _host_ports(spec: dict[str, Any]) -> tuple[HostPort, ...]:
    ports = []
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or ()), *sidecars]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                ports.append((port.get("hostIP") or ANY_ADDRESS, port.get("protocol", "TCP"), port["hostPort"]))
    return tuple(ports)
