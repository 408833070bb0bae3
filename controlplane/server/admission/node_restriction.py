"""NodeRestriction: a node writes its own Node, CSINode and Lease, and its own pods' status; nothing of another node's.

The half of `rbac.nodes` that has to see the object. Texts are upstream's.
"""

from __future__ import annotations

from controlplane.api.kinds import CSI_NODE, LEASE, NODE, POD
from controlplane.api.types import Object
from controlplane.server import wording
from controlplane.server.admission import Attributes
from controlplane.server.admission.service_account import projects_token
from controlplane.server.rbac.nodes import LEASES, PREFIX, is_node, references
from controlplane.store import Store

MIRROR = "kubernetes.io/config.mirror"
RESERVED_LABELS = "node-restriction.kubernetes.io/"


class NodeRestriction:
    def admit(self, request: Attributes, _store: Store) -> None:
        user = request.options.user
        check = _CHECKS.get(request.kind.resource)
        if check is None or not is_node(user):
            return
        why = check(user.name.removeprefix(PREFIX), request)
        if why:
            raise wording.forbidden(request.kind, request.name, why)


def check_posting(request: Attributes, pod: Object | None) -> None:
    """Refuses what a node posts to a subresource; `pod` is the pod that this is about, if there is one.

    A node evicts its own pods, and asks for tokens that are bound to those.
    """
    user = request.options.user
    if not is_node(user):
        return
    node = user.name.removeprefix(PREFIX)
    its_own = pod is not None and pod.get("spec", {}).get("nodeName", "") == node
    why = ""
    if request.subresource == "eviction" and not its_own:
        why = f'node "{node}" can only evict pods with spec.nodeName set to itself'
    elif request.subresource == "token":
        bound = request.obj.get("spec", {}).get("boundObjectRef") or {}
        if (bound.get("apiVersion"), bound.get("kind")) != (POD.api_version, POD.name) or not bound.get("name"):
            why = "node requested token not bound to a pod"
        elif not bound.get("uid"):
            why = "node requested token with a pod binding without a uid"
        elif not its_own:
            why = "node requested token bound to a pod scheduled on a different node"
    if why:
        raise wording.forbidden(request.kind, request.name, why)


def _node(node: str, request: Attributes) -> str:
    if request.name != node:
        return f'node "{node}" is not allowed to modify node "{request.name}"'
    old = request.old or {"metadata": {}}
    if request.operation == "UPDATE" and _taints(request.obj) != _taints(old):
        return f'node "{node}" is not allowed to modify taints'
    changed = [
        key
        for key in sorted(_labels(request.obj).keys() | _labels(old).keys())
        if key.startswith(RESERVED_LABELS) and _labels(request.obj).get(key) != _labels(old).get(key)
    ]
    if changed:
        return f'node "{node}" is not allowed to modify labels: {", ".join(changed)}'
    return ""


def _lease(node: str, request: Attributes) -> str:
    if request.namespace != LEASES:
        return f'can only access leases in the "{LEASES}" system namespace'
    return "" if request.name == node else "can only access node lease with the same name as the requesting node"


def _csi_node(node: str, request: Attributes) -> str:
    return "" if request.name == node else "can only access CSINode with the same name as the requesting node"


def _pod(node: str, request: Attributes) -> str:
    pod = request.old or request.obj
    its_own = pod.get("spec", {}).get("nodeName", "") == node
    match request.operation:
        case "CREATE":
            if MIRROR not in pod["metadata"].get("annotations", {}):
                return f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
            if not its_own:
                return f'node "{node}" can only create pods with spec.nodeName set to itself'
            return _refers(node, pod["spec"])
        case "DELETE":
            return "" if its_own else f'node "{node}" can only delete pods with spec.nodeName set to itself'
    if not its_own:
        return f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'
    if _labels(request.obj) != _labels(pod):
        return f'node "{node}" cannot update labels through pod status'
    return ""


def _refers(node: str, spec: Object) -> str:
    """A node reads what its pods refer to: a pod of its own making may refer to nothing."""
    found = sorted(plural for plural, _ in references(spec))
    if projects_token(spec):
        found.append("serviceaccounts (via projected volumes)")
    return f'node "{node}" can not create pods that reference {found[0]}' if found else ""


def _taints(node: Object) -> object:
    return node.get("spec", {}).get("taints", [])


def _labels(node: Object) -> dict[str, str]:
    labels: dict[str, str] = node["metadata"].get("labels", {})
    return labels


_CHECKS = {NODE.resource: _node, CSI_NODE.resource: _csi_node, LEASE.resource: _lease, POD.resource: _pod}
