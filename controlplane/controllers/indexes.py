"""The indexes that controllers keep on shared informers, each named once."""

from __future__ import annotations

from controlplane.api.types import Object
from controlplane.client.informer import Informer
from controlplane.controllers.meta import controller_uid

CONTROLLER = "controller"
"""By the uid of the controller; "" holds none, orphans are under ORPHANS."""

ORPHANS = "orphans"
"""Objects without a controller, by namespace."""

NODE_INDEX = "node"
"""Pods by the node they are bound to."""

LABELS = "labels"
"""Objects by each of their labels, as `label_key` writes them."""

SELECTOR = "selector"
"""Services by one label of their selector: a pod that they select has that label."""


def index_owned(informer: Informer) -> None:
    """Adds the indexes by controller and of orphans."""
    informer.add_index(CONTROLLER, _by_controller)
    informer.add_index(ORPHANS, _orphans)


def index_by_labels(informer: Informer) -> None:
    informer.add_index(LABELS, _by_labels)


def index_by_selector(informer: Informer) -> None:
    """Adds SELECTOR to an informer of Services."""
    informer.add_index(SELECTOR, _by_selector)


def label_key(namespace: str, name: str, value: str) -> str:
    """What LABELS and SELECTOR keep a label of one namespace under."""
    return f"{namespace}/{name}={value}"


def selector_key(service: Object) -> str | None:
    """The label under which SELECTOR keeps a Service; None for one without a selector."""
    selector = service["spec"].get("selector")
    if not selector:
        return None
    name = min(selector)
    return label_key(service["metadata"]["namespace"], name, selector[name])


def index_by_node(informer: Informer) -> None:
    informer.add_index(NODE_INDEX, _by_node)


def _by_controller(obj: Object) -> tuple[str, ...]:
    uid = controller_uid(obj)
    return (uid,) if uid else ()


def _orphans(obj: Object) -> tuple[str, ...]:
    return () if controller_uid(obj) else (obj["metadata"].get("namespace", ""),)


def _by_labels(obj: Object) -> list[str]:
    metadata = obj["metadata"]
    namespace = metadata.get("namespace", "")
    return [label_key(namespace, name, value) for name, value in (metadata.get("labels") or {}).items()]


def _by_selector(service: Object) -> tuple[str, ...]:
    key = selector_key(service)
    return (key,) if key is not None else ()


def _by_node(obj: Object) -> tuple[str, ...]:
    node = obj["spec"].get("nodeName")
    return (node,) if node else ()
