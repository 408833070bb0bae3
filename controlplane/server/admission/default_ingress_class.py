"""DefaultIngressClass: an Ingress that names no class gets the default one, if there is one."""

from __future__ import annotations

from controlplane.api.kinds import INGRESS, INGRESS_CLASS
from controlplane.api.kinds.ingress import CLASS_ANNOTATION
from controlplane.server.admission import Attributes
from controlplane.server.admission.storage import newest_default
from controlplane.store import Store

DEFAULT = "ingressclass.kubernetes.io/is-default-class"


class DefaultIngressClass:
    def admit(self, request: Attributes, store: Store) -> None:
        if request.kind is not INGRESS or request.operation != "CREATE":
            return
        spec = request.obj.setdefault("spec", {})
        if "ingressClassName" in spec or CLASS_ANNOTATION in request.obj["metadata"].get("annotations", {}):
            return
        classes = [one.document for one in store.objects(INGRESS_CLASS.resource)]
        chosen = newest_default(
            [one for one in classes if one["metadata"].get("annotations", {}).get(DEFAULT) == "true"]
        )
        if chosen is not None:
            spec["ingressClassName"] = chosen["metadata"]["name"]
