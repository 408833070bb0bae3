"""What a change of CPU or memory means for a container that runs."""

from __future__ import annotations

from controlplane.api.types import Object


def needs_restart(spec: Object, before: Object) -> bool:
    """Whether `resizePolicy` wants a container restarted whose resources were `before` and are now those of `spec`."""
    now = spec.get("resources") or {}
    restarting = {
        one.get("resourceName", "")
        for one in spec.get("resizePolicy") or ()
        if one.get("restartPolicy") == "RestartContainer"
    }
    return any(_amounts(now, name) != _amounts(before, name) for name in restarting)


def _amounts(resources: Object, name: str) -> tuple[object, object]:
    return (resources.get("requests") or {}).get(name), (resources.get("limits") or {}).get(name)
