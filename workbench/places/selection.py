"""What a person means by `pod/web`, `deploy/api`, `service/web`, `node/node-1`, `subnet/default` or `policy/deny`.

`shop/pod/web` names the namespace too, `pod/web-*` all pods whose names begin so, `app=web,tier!=db` pods by their
labels, `all` every pod. The short names are kubectl's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controlplane.api import kinds, selectors
from controlplane.api.types import Kind, Object
from controlplane.config import ResolvedCluster
from controlplane.explain.world import NothingToExplain, World, find

ENDED = ("Succeeded", "Failed")
ROUTER = "router"
OUTSIDE = "outside"
"""This host, for those who can begin there."""
DEFAULT_NAMESPACE = "default"
_ADDRESS = re.compile(r"[0-9./]+")


class NoSuchPlace(LookupError):
    """The text names nothing; the message says what it could name."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What was meant: pods that have a network, nodes by name, the router. `text` is how it was said.

    `residents` are the pods with a network of their own on the nodes: not meant, but where to look when places of pods
    are asked for.
    `pods_by` are namespace ("" for all) and `LabelSelector` where labels say which pods; it holds for later ones too.
    """

    text: str
    pods: tuple[Object, ...] = ()
    nodes: tuple[str, ...] = ()
    residents: tuple[Object, ...] = ()
    router: bool = False
    service: Object | None = None
    pods_by: tuple[str, dict[str, Any]] | None = None


_OWNERS: tuple[Kind, ...] = (
    kinds.DEPLOYMENT,
    kinds.REPLICA_SET,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.CRON_JOB,
    kinds.REPLICATION_CONTROLLER,
)


def select(world: World, cluster: ResolvedCluster, text: str, namespace: str = DEFAULT_NAMESPACE) -> Selection:
    """What `text` means; without a namespace labels are looked for in all. Raises `NoSuchPlace`.

    Pods that are ready come first, and those of nodes that are switched off last.
    """
    found = _selected(world, cluster, text, namespace)
    off = {node.name for node in cluster.nodes if node.state != "running"}

    def rank(pod: Object) -> tuple[bool, bool]:
        return pod["spec"]["nodeName"] in off, not _is_ready(pod)

    return replace(found, pods=tuple(sorted(found.pods, key=rank)))


def _selected(world: World, cluster: ResolvedCluster, text: str, namespace: str) -> Selection:
    if text == ROUTER:
        return Selection(text, router=True)
    if text == "all":
        return Selection(text, tuple(_networked(world)), pods_by=("", {}))
    if "=" in text or " " in text:
        return _by_labels(world, text, namespace)
    namespace = namespace or DEFAULT_NAMESPACE
    namespace, word, name = _parts(text, namespace)
    if word in _words(kinds.NODE):
        return _nodes(world, cluster, text, name)
    if word == "subnet":
        return _subnet(world, cluster, text, name)
    if word in _words(kinds.POD):
        return Selection(text, _pods(world, namespace, name))
    if word in _words(kinds.SERVICE):
        service = _find(world, kinds.SERVICE, namespace, name)
        return Selection(text, _matching(world, namespace, service["spec"].get("selector")), service=service)
    if word in ("policy", *_words(kinds.NETWORK_POLICY)):
        policy = _find(world, kinds.NETWORK_POLICY, namespace, name)
        chosen = policy["spec"].get("podSelector") or {}
        pods = _labelled(world, namespace, selectors.compile_selector(chosen))
        return Selection(text, pods, pods_by=(namespace, chosen))
    if word in _words(kinds.NAMESPACE):
        _find(world, kinds.NAMESPACE, "", name)
        return Selection(text, tuple(_in(_networked(world), name)), pods_by=(name, {}))
    for kind in _OWNERS:
        if word in _words(kind):
            owner = _find(world, kind, namespace, name)
            return Selection(text, _owned(world, owner), pods_by=_selector_of(owner, namespace))
    raise NoSuchPlace(
        f"{text!r}: {word!r} is no kind that has a place; there are pod, deploy, rs, sts, ds, job, cronjob, rc, "
        "service, policy, namespace, node, subnet, router and all; in a namespace: shop/pod/web"
    )


def place_name(word: str, obj: Object) -> str:
    """How an object is named where places are: `pod/web`, or `shop/pod/web` outside of the namespace `default`."""
    namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
    return f"{word}/{name}" if namespace in ("", DEFAULT_NAMESPACE) else f"{namespace}/{word}/{name}"


def is_headless(service: Object) -> bool:
    """Whether a Service has no address: it is its pods. Raises `NoSuchPlace` for one that is an alias only."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        raise NoSuchPlace(
            f"{place_name('service', service)} is of type ExternalName: it has no address, DNS answers with"
            f" {spec.get('externalName', '')}"
        )
    return spec.get("clusterIP", "") in ("", "None")


def is_networked(pod: Object) -> bool:
    """Whether a pod has a network at this moment."""
    status = pod.get("status") or {}
    return bool(status.get("podIP")) and status.get("phase") not in ENDED


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _parts(text: str, namespace: str) -> tuple[str, str, str]:
    if text == OUTSIDE:
        raise NoSuchPlace(f"{OUTSIDE} is this host: packets can begin there, and nothing else")
    if _ADDRESS.fullmatch(text):
        raise NoSuchPlace(f"{text!r} is no place, nor an address or a range where one is taken")
    parts = text.split("/")
    if len(parts) == 2 and all(parts):
        return namespace, parts[0].lower(), parts[1]
    if len(parts) == 3 and all(parts):
        return parts[0], parts[1].lower(), parts[2]
    raise NoSuchPlace(f"{text!r} is no place; write it as pod/NAME, or NAMESPACE/pod/NAME")


def _words(kind: Kind) -> tuple[str, ...]:
    return (kind.singular, kind.plural, *kind.short_names)


def _networked(world: World) -> list[Object]:
    return [pod for pod in world.objects(kinds.POD) if is_networked(pod)]


def _pods(world: World, namespace: str, name: str) -> tuple[Object, ...]:
    if not name.endswith("*"):
        pod = _find(world, kinds.POD, namespace, name)
        if not is_networked(pod):
            raise NoSuchPlace(f"pod {name} has no network: it is {pod.get('status', {}).get('phase', 'Pending')}")
        return (pod,)
    found = [pod for pod in _in(_networked(world), namespace) if pod["metadata"]["name"].startswith(name[:-1])]
    if not found:
        raise NoSuchPlace(f"no pod of namespace {namespace} begins with {name[:-1]!r}")
    return tuple(found)


def _by_labels(world: World, text: str, namespace: str) -> Selection:
    try:
        matches = selectors.compile_labels(text)
    except ValueError as error:
        raise NoSuchPlace(f"{text!r} is no label selector: {error}") from error
    return Selection(text, _labelled(world, namespace, matches), pods_by=(namespace, _as_object(text)))


def _as_object(text: str) -> dict[str, Any]:
    """A label selector's text as a `LabelSelector`."""
    operators = {"=": "In", "!=": "NotIn", "exists": "Exists", "!": "DoesNotExist"}
    terms = []
    for one in selectors.parse_labels(text):
        if one.operator not in operators:
            raise NoSuchPlace(f"{text!r}: {one.operator} is for nodes only")
        values = {"values": sorted(one.values)} if one.operator in ("=", "!=") else {}
        terms.append({"key": one.key, "operator": operators[one.operator], **values})
    return {"matchExpressions": terms}


def _selector_of(owner: Object, namespace: str) -> tuple[str, dict[str, Any]] | None:
    selector = owner["spec"].get("selector")
    if not selector:
        return None
    return namespace, {"matchLabels": selector} if owner["kind"] == kinds.REPLICATION_CONTROLLER.name else selector


def _nodes(world: World, cluster: ResolvedCluster, text: str, name: str) -> Selection:
    names = [node.name for node in cluster.nodes]
    found = [each for each in names if each == name or (name.endswith("*") and each.startswith(name[:-1]))]
    if not found:
        raise NoSuchPlace(f"there is no node {name}; there is: {', '.join(names) or 'none'}")
    return _on_nodes(world, text, found)


def _subnet(world: World, cluster: ResolvedCluster, text: str, name: str) -> Selection:
    if name not in [subnet.name for subnet in cluster.subnets]:
        raise NoSuchPlace(f"there is no subnet {name}; there is: {', '.join(s.name for s in cluster.subnets)}")
    return _on_nodes(world, text, [node.name for node in cluster.nodes if node.subnet == name])


def _on_nodes(world: World, text: str, nodes: Sequence[str]) -> Selection:
    there = (pod for pod in _networked(world) if pod["spec"]["nodeName"] in nodes)
    residents = tuple(pod for pod in there if not pod["spec"].get("hostNetwork"))
    return Selection(text, nodes=tuple(nodes), residents=residents)


def _find(world: World, kind: Kind, namespace: str, name: str) -> Object:
    try:
        return find(world, kind, namespace, name)
    except NothingToExplain as error:
        raise NoSuchPlace(str(error)) from error


def _matching(world: World, namespace: str, labels: dict[str, str] | None) -> tuple[Object, ...]:
    if not labels:
        return ()
    pods = _in(_networked(world), namespace)
    return tuple(pod for pod in pods if labels.items() <= (pod["metadata"].get("labels") or {}).items())


def _labelled(world: World, namespace: str, matches: Callable[[dict[str, str]], bool]) -> tuple[Object, ...]:
    pods = _in(_networked(world), namespace)
    return tuple(pod for pod in pods if matches(pod["metadata"].get("labels") or {}))


def _owned(world: World, owner: Object) -> tuple[Object, ...]:
    """The pods below an owner, by way of whatever stands between."""
    uids = {owner["metadata"]["uid"]}
    for kind in (kinds.REPLICA_SET, kinds.JOB):
        uids |= {obj["metadata"]["uid"] for obj in world.objects(kind) if uids & _owners(obj)}
    return tuple(pod for pod in _networked(world) if uids & _owners(pod))


def _owners(obj: Object) -> set[Any]:
    return {reference["uid"] for reference in obj["metadata"].get("ownerReferences") or ()}


def _in(pods: Sequence[Object], namespace: str) -> list[Object]:
    return [pod for pod in pods if namespace in ("", pod["metadata"]["namespace"])]
