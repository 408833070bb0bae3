"""Nobody grants what he does not hold: the check on writes of roles and bindings.

Exempt are masters, and who may `escalate` the role or `bind` the role that is bound. Follows
upstream's policy-based storage of these kinds.
"""

from __future__ import annotations

from controlplane.api.field import quoted
from controlplane.api.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from controlplane.api.types import Object
from controlplane.server import wording
from controlplane.server.admission import Attributes
from controlplane.server.authorization import Action
from controlplane.server.rbac.authorizer import RoleAuthorizer
from controlplane.server.rbac.index import role_key
from controlplane.server.rbac.rules import EVERYTHING, Rule, compact, missing
from controlplane.server.requests import MASTERS
from controlplane.store import Store

ROLES = (ROLE, CLUSTER_ROLE)
BINDINGS = (ROLE_BINDING, CLUSTER_ROLE_BINDING)
AGGREGATES = "must have cluster-admin privileges to use the aggregationRule"
COLLECTED = ("finalizers", "ownerReferences", "resourceVersion")
"""The metadata that the garbage collector changes; a write of nothing else grants nothing."""


class RoleEscalation:
    """Refuses roles and bindings that would give more than their writer has."""

    def __init__(self, authorizer: RoleAuthorizer) -> None:
        self._authorizer = authorizer

    def admit(self, request: Attributes, _store: Store) -> None:
        if request.operation == "DELETE" or MASTERS in request.options.user.groups:
            return
        if request.old is not None and _granted(request.obj) == _granted(request.old):
            return
        if request.kind in ROLES:
            self._check_role(request)
        elif request.kind in BINDINGS:
            self._check_binding(request)

    def _check_role(self, request: Attributes) -> None:
        if self._may(request, "escalate", request.kind.plural, request.name):
            return
        self._check_held(request, [Rule.of(rule) for rule in request.obj.get("rules", ())])
        aggregates = "aggregationRule" in request.obj or "aggregationRule" in (request.old or {})
        if aggregates and self._lacks(request, list(EVERYTHING)):
            raise wording.forbidden(request.kind, request.name, AGGREGATES)

    def _check_binding(self, request: Attributes) -> None:
        reference = request.obj.get("roleRef", {})
        role = role_key(reference, request.namespace)
        kind = CLUSTER_ROLE if role.resource == CLUSTER_ROLE.resource else ROLE
        if self._may(request, "bind", kind.plural, role.name):
            return
        granted = self._authorizer.index.rules(role)
        if granted is None:
            raise wording.not_found(kind, role.name)
        self._check_held(request, list(granted))

    def _may(self, request: Attributes, verb: str, resource: str, name: str) -> bool:
        action = Action(verb, ROLE.group, resource, namespace=request.namespace, name=name)
        return self._authorizer.decide(request.options.user, action).allowed

    def _lacks(self, request: Attributes, wanted: list[Rule]) -> list[Rule]:
        held, _ = self._authorizer.rules_of(request.options.user, request.namespace)
        return missing(held, wanted)

    def _check_held(self, request: Attributes, wanted: list[Rule]) -> None:
        lacking = self._lacks(request, wanted)
        if not lacking:
            return
        user = request.options.user
        groups = " ".join(map(quoted, user.groups))
        texts = "\n".join(sorted({rule.text() for rule in compact(lacking)}))
        why = (
            f"user {quoted(user.name)} (groups=[{groups}]) is attempting to grant RBAC permissions "
            f"not currently held:\n{texts}"
        )
        raise wording.forbidden(request.kind, request.name, why)


def _granted(obj: Object) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in COLLECTED}
    return obj | {"metadata": metadata}
