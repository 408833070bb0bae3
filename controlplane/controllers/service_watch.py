"""Which Services a changed pod, Service or node concerns; shared by the two endpoint controllers."""

from __future__ import annotations

from collections.abc import Callable

from controlplane.api.kinds import NODE, POD, SERVICE
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.controllers.endpoints_of import concerns, selects
from controlplane.controllers.indexes import (
    LABELS,
    SELECTOR,
    index_by_labels,
    index_by_selector,
    label_key,
    selector_key,
)

ZONE_LABEL = "topology.kubernetes.io/zone"


class ServiceWatch:
    """Calls `changed` with a Service's key whenever its endpoints may have changed."""

    def __init__(self, informers: Informers, changed: Callable[[ObjectKey], None]) -> None:
        self._changed = changed
        self.services = informers.of(SERVICE)
        self.pods = informers.of(POD)
        self._nodes = informers.of(NODE)
        index_by_labels(self.pods)
        index_by_selector(self.services)
        self.services.add_handler(self._service_changed)
        self.pods.add_handler(self._pod_changed)

    async def wait_synced(self) -> None:
        """Returns when the caches are complete; before that an endpoint may lack its zone."""
        for informer in (self.services, self.pods, self._nodes):
            await informer.wait_synced()

    def selected(self, service: Object) -> list[Object]:
        """The pods that the Service selects."""
        key = selector_key(service)
        candidates = self.pods.by_index(LABELS, key) if key is not None else []
        return [pod for pod in candidates if selects(service, pod)]

    def zone(self, node: str) -> str | None:
        """The zone of a node, None where it has none or is not known."""
        found = self._nodes.get(node)
        return (_labels(found) or {}).get(ZONE_LABEL) if found is not None else None

    def _service_changed(self, old: Object | None, new: Object | None) -> None:
        service = new or old
        assert service is not None
        if old is None or new is None or old["spec"] != new["spec"] or _labels(old) != _labels(new):
            self._changed(key_of(service))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and concerns(old) == concerns(new):
            return
        concerned = {key_of(service) for pod in (old, new) if pod is not None for service in self._selecting(pod)}
        for key in concerned:
            self._changed(key)

    def _selecting(self, pod: Object) -> list[Object]:
        """The Services that select the pod."""
        namespace = pod["metadata"]["namespace"]
        found = []
        for name, value in (_labels(pod) or {}).items():
            candidates = self.services.by_index(SELECTOR, label_key(namespace, name, value))
            found += [service for service in candidates if selects(service, pod)]
        return found


def _labels(obj: Object) -> dict[str, str] | None:
    labels: dict[str, str] | None = obj["metadata"].get("labels")
    return labels
