"""RuntimeClass: a pod's class must exist, and brings its overhead, node labels and tolerations."""

from __future__ import annotations

from controlplane.api import quantity
from controlplane.api.kinds import POD, RUNTIME_CLASS
from controlplane.api.types import Object
from controlplane.server import wording
from controlplane.server.admission import Attributes
from controlplane.store import Key, Store


class RuntimeClassAdmission:
    def admit(self, request: Attributes, store: Store) -> None:
        if request.kind is not POD or request.operation != "CREATE" or request.subresource:
            return
        spec = request.obj.setdefault("spec", {})
        name = spec.get("runtimeClassName")
        if not name:
            if spec.get("overhead"):
                why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
                raise wording.forbidden(POD, request.name, why)
            return
        found = store.latest(Key(RUNTIME_CLASS.resource, "", name))
        if found is None:
            raise wording.forbidden(POD, request.name, f'pod rejected: RuntimeClass "{name}" not found')
        why = _take_overhead(spec, found.document) or _take_scheduling(spec, found.document)
        if why:
            raise wording.forbidden(POD, request.name, why)


def _take_overhead(spec: Object, runtime: Object) -> str:
    defined = runtime.get("overhead", {}).get("podFixed", {})
    given = spec.get("overhead", {})
    if given and {k: quantity.nanos(v) for k, v in given.items()} != {k: quantity.nanos(v) for k, v in defined.items()}:
        return "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
    if defined:
        spec["overhead"] = dict(defined)
    return ""


def _take_scheduling(spec: Object, runtime: Object) -> str:
    scheduling = runtime.get("scheduling", {})
    wanted, has = scheduling.get("nodeSelector", {}), spec.get("nodeSelector", {})
    for key, value in wanted.items():
        if has.get(key, value) != value:
            return (
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value};"
                f" pod.spec.nodeSelector[{key}] = {has[key]}"
            )
    if wanted:
        spec["nodeSelector"] = has | wanted
    tolerations = spec.get("tolerations", [])
    more = [dict(one) for one in scheduling.get("tolerations", ()) if one not in tolerations]
    if more:
        spec["tolerations"] = [*tolerations, *more]
    return ""
