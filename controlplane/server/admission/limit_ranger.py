"""LimitRanger: fills in a pod's requests and limits, and refuses pods and claims that are out of range.

Texts and the annotation are upstream's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.api import quantity
from controlplane.api.kinds import LIMIT_RANGE, PERSISTENT_VOLUME_CLAIM, POD
from controlplane.api.kinds.limit_range import CLAIM, CONTAINER
from controlplane.api.kinds.limit_range import POD as POD_TYPE
from controlplane.api.pod_resources import Amounts, amounts, containers_of, pod_amounts
from controlplane.api.quotas import text
from controlplane.api.types import Object
from controlplane.server import wording
from controlplane.server.admission import Attributes
from controlplane.store import Store

ANNOTATION = "kubernetes.io/limit-ranger"

Item = Mapping[str, Any]


class LimitRanger:
    def admit(self, request: Attributes, store: Store) -> None:
        if request.kind is not POD or not _concerned(request):
            return
        for items in _limits(request, store):
            _fill_in(request.obj, items)

    def check(self, request: Attributes, store: Store) -> None:
        if request.kind not in (POD, PERSISTENT_VOLUME_CLAIM) or not _concerned(request):
            return
        check = _check_pod if request.kind is POD else _check_claim
        for items in _limits(request, store):
            wrong = list(dict.fromkeys(check(request.obj.get("spec", {}), items)))
            if wrong:
                why = wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]"
                raise wording.forbidden(request.kind, request.name, why)


def _concerned(request: Attributes) -> bool:
    """A pod's resources are looked at when it is made, a claim's whenever it is written."""
    if request.operation == "DELETE" or request.subresource:
        return False
    return request.operation == "CREATE" or request.kind is not POD


def _limits(request: Attributes, store: Store) -> list[list[Item]]:
    """What each range of the namespace says; nothing in most."""
    ranges = store.objects(LIMIT_RANGE.resource, request.namespace)
    return [revision.document.get("spec", {}).get("limits", []) for revision in ranges]


def _fill_in(pod: Object, items: Iterable[Item]) -> None:
    """Gives containers the defaults of the range, and says so in an annotation."""
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}
    for item in items:
        if item.get("type") == CONTAINER:
            limits |= item.get("default", {})
            requests |= item.get("defaultRequest", {})
    said = []
    spec = pod.get("spec", {})
    for name, shown in (("containers", "container"), ("initContainers", "init container")):
        for container in spec.get(name, ()):
            for part, defaults, word in (("requests", requests, "request"), ("limits", limits, "limit")):
                given = _give(container, part, defaults)
                if given:
                    said.append(f"{', '.join(given)} {word} for {shown} {container.get('name', '')}")
    if said:
        annotations = pod["metadata"].get("annotations", {})
        pod["metadata"]["annotations"] = annotations | {ANNOTATION: f"LimitRanger plugin set: {'; '.join(said)}"}


def _give(container: Object, part: str, defaults: Mapping[str, str]) -> list[str]:
    """Sets what is not set of the requests or limits; returns the names."""
    resources = container.get("resources", {})
    has = resources.get(part, {})
    given = sorted(name for name in defaults if name not in has)
    if given:
        container["resources"] = resources | {part: has | {name: defaults[name] for name in given}}
    return given


def _check_pod(spec: Object, items: Iterable[Item]) -> list[str]:
    wrong: list[str] = []
    for item in items:
        if item.get("type") == CONTAINER:
            for container in containers_of(spec):
                wrong += _check(item, amounts(container, "requests"), amounts(container, "limits"))
        elif item.get("type") == POD_TYPE:
            wrong += _check(item, pod_amounts(spec, "requests"), pod_amounts(spec, "limits"))
    return wrong


def _check(item: Item, requests: Amounts, limits: Amounts) -> list[str]:
    type_ = item["type"]
    found = [_below(type_, name, bound, requests, limits) for name, bound in item.get("min", {}).items()]
    found += [_above(type_, name, bound, requests, limits) for name, bound in item.get("max", {}).items()]
    ratios = item.get("maxLimitRequestRatio", {})
    found += [_stretched(type_, name, bound, requests, limits) for name, bound in ratios.items()]
    return [one for one in found if one]


def _below(type_: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> str:
    start, least = f"minimum {name} usage per {type_} is {bound}", quantity.nanos(bound)
    if name not in requests:
        return f"{start}.  No request is specified"
    if requests[name] < least:
        return f"{start}, but request is {text(name, requests[name])}"
    if name in limits and limits[name] < least:
        return f"{start}, but limit is {text(name, limits[name])}"
    return ""


def _above(type_: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> str:
    start, most = f"maximum {name} usage per {type_} is {bound}", quantity.nanos(bound)
    if name not in limits:
        return f"{start}.  No limit is specified"
    if limits[name] > most:
        return f"{start}, but limit is {text(name, limits[name])}"
    if requests.get(name, 0) > most:
        return f"{start}, but request is {text(name, requests[name])}"
    return ""


def _stretched(type_: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> str:
    start = f"{name} max limit to request ratio per {type_} is {bound}"
    if not requests.get(name):
        return f"{start}, but no request is specified or request is 0"
    if not limits.get(name):
        return f"{start}, but no limit is specified or limit is 0"
    ratio = limits[name] / requests[name]
    return f"{start}, but provided ratio is {ratio:f}" if ratio > quantity.nanos(bound) / quantity.NANO else ""


def _check_claim(spec: Object, items: Iterable[Item]) -> list[str]:
    requests = amounts(spec, "requests")
    wrong: list[str] = []
    for item in items:
        if item.get("type") != CLAIM:
            continue
        for name, bound in item.get("min", {}).items():
            wrong.append(_below(CLAIM, name, bound, requests, {}))
        for name, bound in item.get("max", {}).items():
            if requests.get(name, 0) > quantity.nanos(bound):
                shown = text(name, requests[name])
                wrong.append(f"maximum {name} usage per {CLAIM} is {bound}, but request is {shown}")
    return [one for one in wrong if one]
