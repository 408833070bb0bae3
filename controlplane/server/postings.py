"""Subresources that are posted to: binding and eviction of pods, tokens of service accounts.

Each takes the decoded body and returns the object of the answer. Nothing but the pod or the
account's token is made; the bodies themselves are never stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from controlplane.api import decode as decoding
from controlplane.api.errors import BadRequest, Invalid, MethodNotAllowed, NotFound
from controlplane.api.field import invalid, required
from controlplane.api.kinds import BINDING, EVICTION, NODE, POD, SERVICE_ACCOUNT, TOKEN_REQUEST
from controlplane.api.meta import timestamp
from controlplane.api.types import Kind, Object
from controlplane.server import metadata, wording
from controlplane.server.admission import Attributes
from controlplane.server.admission.node_restriction import check_posting
from controlplane.server.eviction import evict as eviction_of
from controlplane.server.registry import Registry
from controlplane.server.requests import WriteOptions
from controlplane.store import Key

SHORTEST_TOKEN_SECONDS = 600
LONGEST_TOKEN_SECONDS = 1 << 32
DEFAULT_TOKEN_SECONDS = 3600

OLD_EVICTION = "policy/v1beta1"
"""What kubectl before 1.22 posts; upstream takes it still, though the group's version has long gone."""

TOPOLOGY_LABELS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")

Posting = Callable[[Registry, str, str, Object, WriteOptions], Awaitable[Object]]

SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


async def post(
    registry: Registry, kind: Kind, name: str, namespace: str, subresource: str, body: Any, options: WriteOptions
) -> Object:
    """Posts `body` to a subresource of an object; NotFound where the kind has no such subresource."""
    posting = _POSTINGS.get((kind.plural, subresource))
    if posting is None:
        if subresource in kind.subresources:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        raise NotFound("the server could not find the requested resource")
    handler, body_kind = posting
    if body_kind is EVICTION and isinstance(body, dict) and body.get("apiVersion") == OLD_EVICTION:
        body = body | {"apiVersion": EVICTION.api_version}
    obj, warnings = decoding.decode_object(body_kind, body, options.field_validation, duplicates=options.duplicates)
    for text in warnings:
        options.warn(text)
    request = Attributes("CREATE", kind, namespace, name, obj, None, subresource, options)
    check_posting(request, _pod_of(registry, request))
    if registry.writer.admission.hooks.active:
        await registry.consult("CREATE", kind, name, namespace, obj, subresource, options)
    return await handler(registry, name, namespace, obj, options)


def _pod_of(registry: Registry, request: Attributes) -> Object | None:
    """The pod that a posting is about."""
    name = request.name
    if request.kind is not POD:
        name = (request.obj.get("spec", {}).get("boundObjectRef") or {}).get("name", "")
    found = registry.store.latest(Key(POD.resource, request.namespace, name))
    return found.document if found is not None else None


async def bind(registry: Registry, name: str, namespace: str, binding: Object, options: WriteOptions) -> Object:
    """Assigns a pod to a node, once; Conflict when it already has one or is being deleted."""
    target = binding.get("target", {})
    if target.get("kind", NODE.name) not in ("", NODE.name):
        raise Invalid.of("", BINDING.name, name, [invalid("target.kind", target["kind"], 'must be empty or "Node"')])
    if not target.get("name"):
        raise Invalid.of("", BINDING.name, name, [required("target.name")])

    wanted = binding.get("metadata", {}).get("uid")
    labels = binding.get("metadata", {}).get("labels", {}) | _topology_of(registry, target["name"])

    def assign(pod: Object) -> None:
        if wanted and wanted != pod["metadata"]["uid"]:
            raise metadata.precondition_failed(POD, name, "UID", wanted, pod["metadata"]["uid"])
        _check_bindable(pod)
        pod["spec"]["nodeName"] = target["name"]
        annotations = binding.get("metadata", {}).get("annotations")
        if annotations:
            pod["metadata"]["annotations"] = pod["metadata"].get("annotations", {}) | annotations
        if labels:
            pod["metadata"]["labels"] = pod["metadata"].get("labels", {}) | labels
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": timestamp()}
        status = pod.setdefault("status", {})
        # What was promised is kept now, or another node was found.
        status.pop("nominatedNodeName", None)
        others = [one for one in status.get("conditions", []) if one["type"] != "PodScheduled"]
        status["conditions"] = [*others, scheduled]

    await registry.modify(POD, name, namespace, assign, options)
    return SUCCESS


def _topology_of(registry: Registry, node: str) -> dict[str, str]:
    """Zone and region of a node, which its pods have as labels too: the plugin PodTopologyLabels of upstream."""
    found = registry.store.latest(Key(NODE.resource, "", node))
    labels = found.document["metadata"].get("labels", {}) if found is not None else {}
    return {name: labels[name] for name in TOPOLOGY_LABELS if name in labels}


async def evict(registry: Registry, name: str, namespace: str, eviction: Object, options: WriteOptions) -> Object:
    """Deletes a pod with the eviction's own delete options, if its disruption budget allows it."""
    await eviction_of(registry, registry.get(POD, name, namespace).document, eviction, options)
    return SUCCESS


async def request_token(
    registry: Registry, name: str, namespace: str, request: Object, options: WriteOptions
) -> Object:
    """A token for a service account, bound to a pod where the request says so."""
    account = registry.get(SERVICE_ACCOUNT, name, namespace).document
    spec = request.get("spec", {})
    seconds = spec.get("expirationSeconds", DEFAULT_TOKEN_SECONDS)
    if not SHORTEST_TOKEN_SECONDS <= seconds <= LONGEST_TOKEN_SECONDS:
        limit = "less than 10 minutes" if seconds < SHORTEST_TOKEN_SECONDS else "larger than 2^32 seconds"
        why = f"may not specify a duration {limit}"
        raise Invalid.of(TOKEN_REQUEST.group, TOKEN_REQUEST.name, "", [invalid("spec.expirationSeconds", seconds, why)])
    issuer = registry.tokens
    bound: dict[str, Any] = {
        "namespace": namespace,
        "serviceaccount": {"name": name, "uid": account["metadata"]["uid"]},
    } | _bound_to(registry, name, namespace, spec.get("boundObjectRef"))
    audiences = spec.get("audiences") or [issuer.issuer]
    issued = issuer.issue(f"system:serviceaccount:{namespace}:{name}", audiences, seconds, bound)
    return {
        "kind": TOKEN_REQUEST.name,
        "apiVersion": TOKEN_REQUEST.api_version,
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": timestamp()},
        "spec": spec | {"audiences": audiences, "expirationSeconds": seconds},
        "status": {"token": issued.token, "expirationTimestamp": timestamp(issued.expires)},
    }


def _check_bindable(pod: Object) -> None:
    name = pod["metadata"]["name"]
    if "deletionTimestamp" in pod["metadata"]:
        raise wording.conflict(POD, name, f"pod {name} is being deleted, cannot be assigned to a host", "pods/binding")
    node = pod["spec"].get("nodeName")
    if node:
        raise wording.conflict(POD, name, f'pod {name} is already assigned to node "{node}"', "pods/binding")


def _bound_to(registry: Registry, account: str, namespace: str, reference: Object | None) -> dict[str, Any]:
    """The claim for the object that the token lives with; only pods can be that yet."""
    if reference is None:
        return {}
    if (reference.get("apiVersion"), reference.get("kind")) != (POD.api_version, POD.name):
        shown = f"{reference.get('kind')} in {reference.get('apiVersion')}"
        raise BadRequest(f"cannot bind token to object of type {shown}: only to a v1 Pod")
    pod = registry.get(POD, reference.get("name", ""), namespace).document
    if pod["spec"].get("serviceAccountName", "default") != account:
        raise BadRequest(
            f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.'
        )
    uid = pod["metadata"]["uid"]
    if reference.get("uid") not in (None, "", uid):
        raise wording.conflict(
            POD,
            pod["metadata"]["name"],
            f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record."
            f" The object might have been deleted and then recreated",
        )
    claim: dict[str, Any] = {"pod": {"name": pod["metadata"]["name"], "uid": uid}}
    if pod["spec"].get("nodeName"):
        claim["node"] = {"name": pod["spec"]["nodeName"]}
    return claim


_POSTINGS: dict[tuple[str, str], tuple[Posting, Kind]] = {
    ("pods", "binding"): (bind, BINDING),
    ("pods", "eviction"): (evict, EVICTION),
    ("serviceaccounts", "token"): (request_token, TOKEN_REQUEST),
}
