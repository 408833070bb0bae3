"""Priority: turns a pod's priorityClassName into its priority and preemptionPolicy."""

from __future__ import annotations

from controlplane.api.kinds import POD, PRIORITY_CLASS
from controlplane.api.types import Object
from controlplane.server import wording
from controlplane.server.admission import Attributes
from controlplane.store import Key, Store

PREEMPT = "PreemptLowerPriority"


class Priority:
    def admit(self, request: Attributes, store: Store) -> None:
        if request.kind is not POD or request.operation != "CREATE":
            return
        spec = request.obj.setdefault("spec", {})
        name = spec.get("priorityClassName")
        chosen = self._named(name, request, store) if name else self._default(store)
        value = chosen.get("value", 0) if chosen else 0
        if spec.get("priority", value) != value:
            why = f"the integer value of priority ({spec['priority']}) must not be provided in pod spec;"
            why += f" priority admission controller computed {value} from the given PriorityClass name"
            raise wording.forbidden(POD, request.name, why)
        spec["priority"] = value
        policy = chosen.get("preemptionPolicy", PREEMPT) if chosen else PREEMPT
        spec.setdefault("preemptionPolicy", policy)
        if chosen and not name:
            spec["priorityClassName"] = chosen["metadata"]["name"]

    @staticmethod
    def _named(name: str, request: Attributes, store: Store) -> Object:
        found = store.latest(Key(PRIORITY_CLASS.resource, "", name))
        if found is None:
            raise wording.forbidden(POD, request.name, f"no PriorityClass with name {name} was found")
        return found.document

    @staticmethod
    def _default(store: Store) -> Object | None:
        defaults = [r.document for r in store.objects(PRIORITY_CLASS.resource) if r.document.get("globalDefault")]
        return min(defaults, key=lambda one: int(one["value"]), default=None)
