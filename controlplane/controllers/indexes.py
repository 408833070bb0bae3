"""The indexes that controllers keep on shared informers, each named once."""

from __future__ import annotations

from controlplane.api.types import Object
from controlplane.client.informer import Informer
from controlplane.controllers.meta import controller_uid

CONTROLLER = "controller"
"""By the uid of the controller; "" holds none, orphans are under ORPHANS."""

ORPHANS = "orphans"
"""Objects without a controller, by namespace."""

NAMESPACE_INDEX = "namespace"
NODE_INDEX = "node"


def index_owned(informer: Informer) -> None:
    """Adds the indexes by controller and of orphans."""
    informer.add_index(CONTROLLER, _by_controller)
    informer.add_index(ORPHANS, _orphans)


def index_by_namespace(informer: Informer) -> None:
    informer.add_index(NAMESPACE_INDEX, _by_namespace)


def index_by_node(informer: Informer) -> None:
    informer.add_index(NODE_INDEX, _by_node)


def _by_controller(obj: Object) -> tuple[str, ...]:
    uid = controller_uid(obj)
    return (uid,) if uid else ()


def _orphans(obj: Object) -> tuple[str, ...]:
    return () if controller_uid(obj) else (obj["metadata"].get("namespace", ""),)


def _by_namespace(obj: Object) -> tuple[str, ...]:
    return (obj["metadata"].get("namespace", ""),)


def _by_node(obj: Object) -> tuple[str, ...]:
    node = obj["spec"].get("nodeName")
    return (node,) if node else ()
