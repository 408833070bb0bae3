"""pods/resize: CPU and memory of containers that go on running (upstream's ValidatePodResize)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.api import meta
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid
from controlplane.api.rules.podspec import validate_spec
from controlplane.api.rules.qos import qos_class
from controlplane.api.types import Object, Part

MUTABLE = ("cpu", "memory")
LISTS = ("initContainers", "containers")


def _prepare_update(new: Object, old: Object) -> None:
    metadata = new["metadata"]
    wanted = {one.get("name"): one for name in LISTS for one in new["spec"].get(name, ())}
    meta.restore(new, old, "status")
    new["metadata"] = dict(old["metadata"])
    meta.restore(new["metadata"], metadata, "managedFields")
    new["spec"] = dict(old["spec"])
    for name in LISTS:
        if name in old["spec"]:
            new["spec"][name] = [_resized(one, wanted.get(one["name"])) for one in old["spec"][name]]
    meta.bump_generation(new, old, "spec")


def _resized(container: Object, wanted: Object | None) -> Object:
    if wanted is None:
        return container
    resized = dict(container)
    meta.restore(resized, wanted, "resources", "resizePolicy")
    resized.setdefault("resources", {})
    return resized


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old) + validate_spec(new["spec"], "spec")
    if "kubernetes.io/config.mirror" in old["metadata"].get("annotations", {}):
        errors.append(forbidden("", "static pods cannot be resized"))
    if qos_class(new["spec"]) != qos_class(old["spec"]):
        text = "Pod QOS Class may not change as a result of resizing"
        errors.append(invalid("spec", qos_class(new["spec"]), text))
    for path, after, before in _pairs(new, old):
        if after.get("resizePolicy") != before.get("resizePolicy"):
            errors.append(forbidden(f"{path}.resizePolicy", "may not be changed by a resize"))
        errors += _validate_container(path, after.get("resources", {}), before.get("resources", {}))
        if path.startswith("spec.initContainers") and before.get("restartPolicy") != "Always" and after != before:
            text = "only cpu and memory resources for sidecar containers are mutable"
            errors.append(forbidden(f"{path}.resources", text))
    return errors


def _pairs(new: Object, old: Object) -> Iterator[tuple[str, Object, Object]]:
    for name in LISTS:
        for index, (after, before) in enumerate(zip(new["spec"].get(name, ()), old["spec"].get(name, ()), strict=True)):
            yield f"spec.{name}[{index}]", after, before


def _validate_container(path: str, after: dict[str, Any], before: dict[str, Any]) -> list[FieldError]:
    errors: list[FieldError] = []
    for kind in ("limits", "requests"):
        now, then = after.get(kind, {}), before.get(kind, {})
        for name in sorted({*now, *then}):
            if name in MUTABLE and name in then and name not in now:
                errors.append(forbidden(f"{path}.resources.{kind}", f"resource {kind} cannot be removed"))
            elif name not in MUTABLE and now.get(name) != then.get(name):
                errors.append(forbidden(f"{path}.resources.{kind}", "only cpu and memory resources are mutable"))
    return errors


RESIZE = Part(_prepare_update, _validate_update)
