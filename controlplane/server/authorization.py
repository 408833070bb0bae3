"""What an authorizer is asked, what it answers, and how a refusal reads; who decides is in `rbac`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from controlplane.api.errors import Forbidden
from controlplane.api.selectors import FieldSelector
from controlplane.api.types import Object
from controlplane.server.requests import MASTERS, User


@dataclass(frozen=True, slots=True)
class Action:
    """What is asked for: a verb on a resource, or, with `path`, on a path that is no resource.

    `fields` narrows a list, a watch or a deletecollection: parsed, as what is selected is parsed,
    so that both read the same.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    fields: FieldSelector | None = None

    @property
    def full_resource(self) -> str:
        """The resource as rules name it: "pods", "pods/log"."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Decision(NamedTuple):
    """An authorizer's answer; `reason` may be empty."""

    allowed: bool
    reason: str = ""


class Permissions(NamedTuple):
    """The policy rules of a user in one namespace, as on the wire; `error` says why some may be missing."""

    rules: list[Object]
    incomplete: bool = False
    error: str = ""


class Authorizer(Protocol):
    """Decides about every request."""

    def decide(self, user: User, action: Action) -> Decision: ...

    def permissions(self, user: User, namespace: str) -> Permissions: ...


class MastersOnly:
    """Allows `system:masters` everything and others nothing: a registry's authorizer when it has no roles."""

    def decide(self, user: User, _action: Action) -> Decision:
        return Decision(MASTERS in user.groups)

    def permissions(self, _user: User, _namespace: str) -> Permissions:
        return Permissions([])


def authorize(authorizer: Authorizer, user: User, action: Action) -> None:
    """Forbidden unless `user` may do `action`."""
    if MASTERS in user.groups:
        return
    decision = authorizer.decide(user, action)
    if not decision.allowed:
        raise _refusal(user, action, decision.reason)


def _refusal(user: User, action: Action, reason: str) -> Forbidden:
    because = f": {reason}" if reason else ""
    if action.path:
        return Forbidden(f'forbidden: User "{user.name}" cannot {action.verb} path "{action.path}"{because}')
    where = f'in the namespace "{action.namespace}"' if action.namespace else "at the cluster scope"
    shown = f"{action.resource}.{action.group}" if action.group else action.resource
    subject = f'{shown} "{action.name}"' if action.name else shown
    details = {"name": action.name, "group": action.group, "kind": action.resource}
    return Forbidden(
        f'{subject} is forbidden: User "{user.name}" cannot {action.verb} resource "{action.full_resource}"'
        f' in API group "{action.group}" {where}{because}',
        details={key: value for key, value in details.items() if value},
    )
