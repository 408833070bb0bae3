"""NamespaceLifecycle: nothing is made in a namespace that is absent or going, and three never go."""

from __future__ import annotations

from controlplane.api.kinds import NAMESPACE
from controlplane.server import wording
from controlplane.server.admission import Attributes
from controlplane.store import Key, Store

IMMORTAL = frozenset(("default", "kube-system", "kube-public"))


class NamespaceLifecycle:
    def admit(self, request: Attributes, store: Store) -> None:
        if request.operation == "DELETE":
            if request.kind is NAMESPACE and request.name in IMMORTAL:
                raise wording.forbidden(NAMESPACE, request.name, "this namespace may not be deleted")
            return
        if request.operation != "CREATE" or not request.kind.namespaced:
            return
        namespace = store.latest(Key(NAMESPACE.resource, "", request.namespace))
        if namespace is None:
            raise wording.not_found(NAMESPACE, request.namespace)
        if "deletionTimestamp" in namespace.document["metadata"]:
            raise self._terminating(request)

    @staticmethod
    def _terminating(request: Attributes) -> Exception:
        why = f"unable to create new content in namespace {request.namespace} because it is being terminated"
        error = wording.forbidden(request.kind, request.name, why)
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {request.namespace} is being terminated",
            "field": "metadata.namespace",
        }
        error.details = (error.details or {}) | {"causes": [cause]}
        return error
