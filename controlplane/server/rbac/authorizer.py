"""The decision about a request: masters may do all, nodes what their pods need, everybody what his roles say."""

from __future__ import annotations

from controlplane.server.authorization import Action, Decision, Permissions
from controlplane.server.rbac.index import RoleIndex, role_not_found
from controlplane.server.rbac.nodes import NodeAuthorizer, is_node
from controlplane.server.rbac.rules import Rule
from controlplane.server.requests import MASTERS, User
from controlplane.store import Store

NODE_RULES = "node authorizer does not support user rule resolution"


class RoleAuthorizer:
    """Decides by the roles of a store; `index` has to be told of every write."""

    def __init__(self, store: Store) -> None:
        self.index = RoleIndex(store)
        self._nodes = NodeAuthorizer(store)

    def decide(self, user: User, action: Action) -> Decision:
        """Whether `user` may do `action`, and why."""
        if MASTERS in user.groups:
            return Decision(True)
        reason = ""
        if is_node(user):
            by_node = self._nodes.decide(user, action)
            if by_node.allowed:
                return by_node
            reason = by_node.reason
        by_role = self._decide_by_role(user, action)
        if by_role.allowed:
            return by_role
        return Decision(False, ", ".join(text for text in (reason, by_role.reason) if text))

    def permissions(self, user: User, namespace: str) -> Permissions:
        """Every rule that `user` holds in `namespace`, those of the whole cluster included."""
        rules, gone = self.rules_of(user, namespace)
        wire = [rule.wire() for rule in rules]
        if is_node(user):
            return Permissions(wire, incomplete=True, error=", ".join([NODE_RULES, *gone]))
        return Permissions(wire, incomplete=bool(gone), error=", ".join(gone))

    def rules_of(self, user: User, namespace: str) -> tuple[list[Rule], list[str]]:
        """The rules that `user` holds in `namespace`, and a text for each bound role that is not there."""
        rules: list[Rule] = []
        gone: list[str] = []
        for role in dict.fromkeys(bound.role for bound in self.index.bindings(user, namespace)):
            found = self.index.rules(role)
            if found is None:
                gone.append(role_not_found(role))
            else:
                rules += found
        return rules, gone

    def _decide_by_role(self, user: User, action: Action) -> Decision:
        resource = action.full_resource
        gone: list[str] = []
        for bound in self.index.bindings(user, action.namespace):
            rules = self.index.rules(bound.role)
            if rules is None:
                gone.append(role_not_found(bound.role))
                continue
            for rule in rules:
                if rule.allows(action, resource):
                    return Decision(True, f"RBAC: allowed by {bound.text}")
        if not gone:
            return Decision(False)
        return Decision(False, f"RBAC: {gone[0]}" if len(gone) == 1 else f"RBAC: [{', '.join(gone)}]")
