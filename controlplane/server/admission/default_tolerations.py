"""DefaultTolerationSeconds: a pod stays five minutes on a node that is not ready or unreachable."""

from __future__ import annotations

from controlplane.api.kinds import POD
from controlplane.server.admission import Attributes
from controlplane.store import Store

SECONDS = 300
TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class DefaultTolerationSeconds:
    def admit(self, request: Attributes, store: Store) -> None:
        if request.kind is not POD or request.operation != "CREATE":
            return
        spec = request.obj.setdefault("spec", {})
        tolerations = spec.get("tolerations", [])
        missing = [
            {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}
            for taint in TAINTS
            if not any(
                one.get("key", "") in (taint, "") and one.get("effect", "") in ("NoExecute", "") for one in tolerations
            )
        ]
        if missing:
            spec["tolerations"] = [*tolerations, *missing]
