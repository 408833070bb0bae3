"""What a node may touch: its own Node, Lease and pods, and what those pods refer to.

Reads are decided here, and what a rule cannot tell; which pods and Nodes a node may *write* is for
admission, which sees the object. Follows upstream's node authorizer, texts included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from controlplane.api.kinds import (
    CONFIG_MAP,
    CSI_NODE,
    LEASE,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
    VOLUME_ATTACHMENT,
)
from controlplane.api.types import Object
from controlplane.server.authorization import Action, Decision
from controlplane.server.rbac.defaults import node_rules
from controlplane.server.requests import User
from controlplane.store import Key, Store

GROUP, PREFIX = "system:nodes", "system:node:"
LEASES = "kube-node-lease"
READS = ("get", "list", "watch")
OWN_VERBS = ("get", "create", "update", "patch", "delete")

ALLOWED, DENIED = Decision(True), Decision(False)


def is_node(user: User) -> bool:
    """Whether `user` is a node by name and group."""
    return user.name.startswith(PREFIX) and GROUP in user.groups


class NodeAuthorizer:
    """Decides for users whom `is_node` names."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._deciders: dict[str, Callable[[str, Action], Decision]] = {
            SECRET.resource: self._read,
            CONFIG_MAP.resource: self._read,
            SERVICE_ACCOUNT.resource: self._create_token,
            LEASE.resource: _lease,
            NODE.resource: _node,
            POD.resource: self._pod,
            PERSISTENT_VOLUME_CLAIM.resource: self._claim,
            PERSISTENT_VOLUME.resource: self._volume,
            VOLUME_ATTACHMENT.resource: self._attachment,
            CSI_NODE.resource: _csi_node,
        }

    def decide(self, user: User, action: Action) -> Decision:
        """Whether the node may do `action`; a refusal leaves the last word to its roles."""
        node = user.name.removeprefix(PREFIX)
        shown = f"{action.resource}.{action.group}" if action.group else action.resource
        decider = None if action.path else self._deciders.get(shown)
        if decider is not None:
            return decider(node, action)
        resource = action.full_resource
        return ALLOWED if any(rule.allows(action, resource) for rule in node_rules()) else DENIED

    def _read(self, node: str, action: Action) -> Decision:
        if action.verb not in READS:
            return Decision(False, "can only read resources of this type")
        if action.subresource:
            return Decision(False, "cannot read subresource")
        if not action.namespace:
            return Decision(False, "can only read namespaced object of this type")
        if not action.name:
            return Decision(False, "No Object name found")
        return self._related(node, action)

    def _create_token(self, node: str, action: Action) -> Decision:
        if action.verb != "create" or not action.name:
            return Decision(False, "can only create tokens for individual service accounts")
        if action.subresource != "token":
            return Decision(False, "can only create token subresource of serviceaccount")
        return self._related(node, action)

    def _pod(self, node: str, action: Action) -> Decision:
        verb = action.verb
        if action.subresource:
            allowed = {"status": ("update", "patch"), "eviction": ("create",)}.get(action.subresource, ())
            return ALLOWED if verb in allowed else DENIED
        if verb in ("create", "delete"):
            return ALLOWED
        if verb in ("list", "watch") and action.fields is not None and action.fields.exact("spec.nodeName") == node:
            return ALLOWED
        if verb in READS and action.name:
            pod = self._store.latest(Key(POD.resource, action.namespace, action.name))
            return ALLOWED if pod is not None and _node_of(pod.document) == node else _unrelated(node)
        if verb in READS:
            return Decision(False, "can only list/watch pods with spec.nodeName field selector")
        return DENIED

    def _claim(self, node: str, action: Action) -> Decision:
        if action.subresource == "status":
            if action.verb not in ("update", "patch"):
                return Decision(False, "can only get/update/patch this type")
            return self._related(node, action)
        return _not_one(action) or self._related(node, action)

    def _volume(self, node: str, action: Action) -> Decision:
        if refused := _not_one(action):
            return refused
        volume = self._store.latest(Key(PERSISTENT_VOLUME.resource, "", action.name))
        claim = volume.document["spec"].get("claimRef", {}) if volume is not None else {}
        if not claim:
            return _unrelated(node)
        return self._refers(node, claim.get("namespace", ""), PERSISTENT_VOLUME_CLAIM.plural, claim.get("name", ""))

    def _attachment(self, node: str, action: Action) -> Decision:
        if refused := _not_one(action):
            return refused
        found = self._store.latest(Key(VOLUME_ATTACHMENT.resource, "", action.name))
        return ALLOWED if found is not None and _node_of(found.document) == node else _unrelated(node)

    def _related(self, node: str, action: Action) -> Decision:
        """Allowed when a pod of the node refers to the object."""
        return self._refers(node, action.namespace, action.resource, action.name)

    def _refers(self, node: str, namespace: str, plural: str, name: str) -> Decision:
        for revision in self._store.objects(POD.resource, namespace):
            pod = revision.document
            if _node_of(pod) != node:
                continue
            if (plural, name) in references(pod["spec"], pod["metadata"]["name"]):
                return ALLOWED
        return _unrelated(node)


def _lease(node: str, action: Action) -> Decision:
    if action.verb not in OWN_VERBS:
        return Decision(False, "can only get, create, update, patch, or delete a node lease")
    if action.namespace != LEASES:
        return Decision(False, f'can only access leases in the "{LEASES}" system namespace')
    if action.verb != "create" and action.name != node:
        return Decision(False, "can only access node lease with the same name as the requesting node")
    return ALLOWED


def _csi_node(node: str, action: Action) -> Decision:
    if action.verb not in OWN_VERBS:
        return Decision(False, "can only get, create, update, patch, or delete a CSINode")
    if action.subresource:
        return Decision(False, "cannot authorize CSINode subresources")
    if action.verb != "create" and action.name != node:
        return Decision(False, "can only access CSINode with the same name as the requesting node")
    return ALLOWED


def _not_one(action: Action) -> Decision | None:
    """The refusal of whatever is not a read of one object."""
    if action.verb != "get":
        return Decision(False, "can only get individual resources of this type")
    if action.subresource:
        return Decision(False, "cannot get subresource")
    return None if action.name else Decision(False, "No Object name found")


def _node(node: str, action: Action) -> Decision:
    if action.subresource:
        return ALLOWED if action.subresource == "status" and action.verb in ("update", "patch") else DENIED
    if action.verb in READS:
        if action.name == node:
            return ALLOWED
        what = f"'{action.name}'" if action.name else "all nodes"
        return Decision(False, f"node '{node}' cannot read {what}, only its own Node object")
    return ALLOWED if action.verb in ("create", "update", "patch") else DENIED


def _unrelated(node: str) -> Decision:
    return Decision(False, f"no relationship found between node '{node}' and this object")


def _node_of(pod: Object) -> str:
    name: str = pod["spec"].get("nodeName", "")
    return name


def references(spec: Object, pod: str = "") -> set[tuple[str, str]]:
    """What the pod called `pod` cannot do without, as resource and name: secrets, config maps, claims, the account."""
    account = spec.get("serviceAccountName", "")
    found = {(SERVICE_ACCOUNT.plural, account)} if account else set()
    found |= {(SECRET.plural, one.get("name", "")) for one in spec.get("imagePullSecrets", ())}
    for source in _sources(spec):
        for field, plural in _SOURCE_FIELDS:
            reference = source.get(field)
            if reference:
                found.add((plural, reference.get("secretName") or reference.get("name", "")))
        if claim := source.get("persistentVolumeClaim"):
            found.add((PERSISTENT_VOLUME_CLAIM.plural, claim.get("claimName", "")))
        if "ephemeral" in source:
            found.add((PERSISTENT_VOLUME_CLAIM.plural, f"{pod}-{source['name']}"))
    return found


_SOURCE_FIELDS = (
    ("secret", SECRET.plural),
    ("secretRef", SECRET.plural),
    ("secretKeyRef", SECRET.plural),
    ("configMap", CONFIG_MAP.plural),
    ("configMapRef", CONFIG_MAP.plural),
    ("configMapKeyRef", CONFIG_MAP.plural),
)


def _sources(spec: Object) -> Iterator[Object]:
    for volume in spec.get("volumes", ()):
        yield volume
        yield from volume.get("projected", {}).get("sources", ())
    for containers in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(containers, ()):
            yield from container.get("envFrom", ())
            yield from (variable["valueFrom"] for variable in container.get("env", ()) if "valueFrom" in variable)
