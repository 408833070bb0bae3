"""Who may do what, until RBAC: masters and the cluster's own components everything, others nearly nothing.

Anonymous callers see health and version. Everybody who is somebody sees discovery and may ask about
himself. The refusals are upstream's words.
"""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.api.errors import Forbidden
from controlplane.server.requests import AUTHENTICATED, MASTERS, User

COMPONENTS = ("system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy")
NODES = "system:nodes"
PUBLIC = ("/healthz", "/livez", "/readyz", "/version")
DISCOVERY = ("/api", "/apis", "/openapi")
SELF_REVIEWS = ("selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews")


@dataclass(frozen=True, slots=True)
class Action:
    """What is asked for: a verb on a resource, or, with `path`, on a path that is no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


def authorize(user: User, action: Action) -> None:
    """Forbidden unless `user` may do `action`."""
    if not allowed(user, action):
        raise _refusal(user, action)


def allowed(user: User, action: Action) -> bool:
    """Whether `user` may do `action`."""
    if MASTERS in user.groups or NODES in user.groups or user.name in COMPONENTS:
        return True
    if action.path:
        if _under(action.path, PUBLIC):
            return True
        return AUTHENTICATED in user.groups and action.verb == "get" and _under(action.path, DISCOVERY)
    return AUTHENTICATED in user.groups and action.verb == "create" and action.resource in SELF_REVIEWS


def _under(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def _refusal(user: User, action: Action) -> Forbidden:
    if action.path:
        return Forbidden(f'forbidden: User "{user.name}" cannot {action.verb} path "{action.path}"')
    resource = f"{action.resource}/{action.subresource}" if action.subresource else action.resource
    where = f'in the namespace "{action.namespace}"' if action.namespace else "at the cluster scope"
    shown = f"{action.resource}.{action.group}" if action.group else action.resource
    subject = f'{shown} "{action.name}"' if action.name else shown
    details = {"name": action.name, "group": action.group, "kind": action.resource}
    return Forbidden(
        f'{subject} is forbidden: User "{user.name}" cannot {action.verb} resource "{resource}"'
        f' in API group "{action.group}" {where}',
        details={key: value for key, value in details.items() if value},
    )
