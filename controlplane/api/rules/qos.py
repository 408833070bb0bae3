"""The quality-of-service class of a pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.api import quantity

COUNTED = ("cpu", "memory")


def qos_class(spec: Mapping[str, Any]) -> str:
    """Guaranteed when every container limits CPU and memory to what it requests, BestEffort when none says anything."""
    guaranteed, anything = True, False
    for name in ("containers", "initContainers"):
        for container in spec.get(name, ()):
            limits, requests = (container.get("resources", {}).get(part, {}) for part in ("limits", "requests"))
            for resource in COUNTED:
                limit, request = quantity.nanos(limits.get(resource, 0)), quantity.nanos(requests.get(resource, 0))
                anything = anything or limit > 0 or request > 0
                guaranteed = guaranteed and limit > 0 and request in (limit, 0)
    if not anything:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
