"""The parts of an object that an update may be about: the main resource and its subresources.

A view shows a part of a stored object, and merges a changed part back into the whole. Update and
patch are the same for all views; what differs between `deployments/NAME` and its `/status`,
`/scale` or `/finalize` is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from controlplane.api.errors import NotFound
from controlplane.api.kinds import SCALE
from controlplane.api.selectors import format_selector
from controlplane.api.types import Kind, Object, ScalePaths


class View(Protocol):
    """`body` is the kind of what is shown and sent."""

    def body(self, kind: Kind) -> Kind: ...

    def show(self, obj: Object) -> Object:
        """What GET returns."""
        ...

    def merge(self, old: Object, part: Object) -> Object:
        """The whole object with `part` put in; may take over `part`, and parts of `old`."""
        ...


class MainView:
    """The object itself; its status, where that is a subresource, stays as it was."""

    def __init__(self, *, keep_status: bool) -> None:
        self._keep_status = keep_status

    def body(self, kind: Kind) -> Kind:
        return kind

    def show(self, obj: Object) -> Object:
        return obj

    def merge(self, old: Object, part: Object) -> Object:
        if self._keep_status:
            _take(part, old, "status")
        return part


class StatusView:
    """Only the status, and of the metadata what is not the server's."""

    def body(self, kind: Kind) -> Kind:
        return kind

    def show(self, obj: Object) -> Object:
        return obj

    def merge(self, old: Object, part: Object) -> Object:
        whole = dict(old)
        _take(whole, part, "status")
        whole["metadata"] = dict(part["metadata"])
        _take(whole["metadata"], old["metadata"], "ownerReferences")
        return whole


class ScaleView:
    """`autoscaling/v1` Scale of anything with numbers of replicas, and a selector or the text of one."""

    def __init__(self, paths: ScalePaths) -> None:
        self._paths = paths

    def body(self, kind: Kind) -> Kind:
        return SCALE

    def show(self, obj: Object) -> Object:
        metadata = obj["metadata"]
        shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        status = {"replicas": value_at(obj, self._paths.status_replicas) or 0}
        selector = value_at(obj, self._paths.selector) if self._paths.selector else None
        if not isinstance(selector, str):
            selector = format_selector(selector) if selector else ""
        return {
            "kind": SCALE.name,
            "apiVersion": SCALE.api_version,
            "metadata": {key: metadata[key] for key in shown if key in metadata},
            "spec": {"replicas": value_at(obj, self._paths.spec_replicas) or 0},
            "status": status | ({"selector": selector} if selector else {}),
        }

    def merge(self, old: Object, part: Object) -> Object:
        replicas = part.get("spec", {}).get("replicas", 0)
        metadata = dict(old["metadata"])
        for field in ("uid", "resourceVersion"):
            _take(metadata, part["metadata"], field)
        return with_value(old, self._paths.spec_replicas, replicas) | {"metadata": metadata}


class FinalizeView:
    """The finalizers in a namespace's spec."""

    def body(self, kind: Kind) -> Kind:
        return kind

    def show(self, obj: Object) -> Object:
        return obj

    def merge(self, old: Object, part: Object) -> Object:
        whole = old | {"spec": dict(old.get("spec", {})), "metadata": dict(old["metadata"])}
        _take(whole["spec"], part.get("spec", {}), "finalizers")
        _take(whole["metadata"], part["metadata"], "resourceVersion")
        return whole


class WholeView:
    """A whole object of which only a part is taken: the kind's own `Part` puts the rest back."""

    def body(self, kind: Kind) -> Kind:
        return kind

    def show(self, obj: Object) -> Object:
        return obj

    def merge(self, old: Object, part: Object) -> Object:
        return part


_MAIN, _MAIN_WITH_STATUS = MainView(keep_status=False), MainView(keep_status=True)
_WHOLE = WholeView()
_SUBRESOURCES: dict[str, View] = {"status": StatusView(), "finalize": FinalizeView()}


def view_of(kind: Kind, subresource: str) -> View:
    """The view that `subresource` ("" for the object itself) is of `kind`; NotFound when there is none."""
    if not subresource:
        return _MAIN_WITH_STATUS if "status" in kind.subresources else _MAIN
    view = ScaleView(kind.scale) if subresource == "scale" else _SUBRESOURCES.get(subresource)
    if view is None and subresource in kind.strategy.parts:
        return _WHOLE
    if view is None or subresource not in kind.subresources:
        raise NotFound("the server could not find the requested resource")
    return view


def value_at(obj: Object, path: Sequence[str]) -> Any:
    """What is at `path`, None where there is nothing."""
    value: Any = obj
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def with_value(obj: Object, path: Sequence[str], value: Any) -> Object:
    """A copy of `obj`, as deep as needed, with `value` at `path`."""
    name, *rest = path
    inner = obj.get(name)
    return obj | {name: with_value(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}


def _take(target: Object, source: Object, field: str) -> None:
    if field in source:
        target[field] = source[field]
    else:
        target.pop(field, None)
