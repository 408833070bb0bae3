"""An APIService for each group and version that this server serves itself, custom resources included.

They are for clients to see (`kubectl get apiservices`); nothing here reads them. Upstream's
autoregistration controller keeps them; here they follow in the step that changes what is served.
"""

from __future__ import annotations

from typing import Any

from controlplane.api import meta
from controlplane.api.kinds import API_SERVICE
from controlplane.api.scheme import Scheme
from controlplane.api.types import Object
from controlplane.store import Key, Store

RESOURCE = API_SERVICE.resource
MANAGED = "kube-aggregator.kubernetes.io/automanaged"
ONSTART, ALWAYS = "onstart", "true"

PRIORITIES = {
    "": (18000, 1),
    "admissionregistration.k8s.io": (16700, 15),
    "apiextensions.k8s.io": (16700, 15),
    "apps": (17800, 15),
    "authentication.k8s.io": (17700, 15),
    "authorization.k8s.io": (17600, 15),
    "autoscaling": (17500, 15),
    "batch": (17400, 15),
    "certificates.k8s.io": (17300, 15),
    "coordination.k8s.io": (16500, 15),
    "discovery.k8s.io": (16200, 12),
    "events.k8s.io": (17750, 5),
    "flowcontrol.apiserver.k8s.io": (16100, 21),
    "networking.k8s.io": (17200, 15),
    "node.k8s.io": (16300, 15),
    "policy": (17100, 15),
    "rbac.authorization.k8s.io": (17000, 15),
    "resource.k8s.io": (15900, 15),
    "scheduling.k8s.io": (16600, 15),
    "storage.k8s.io": (16800, 15),
    "storagemigration.k8s.io": (15800, 15),
}
"""Upstream's group and version priorities."""

CUSTOM = (1000, 100)
NOT_LISTED = "apiregistration.k8s.io"


class LocalServices:
    """The APIServices of one scheme, kept in one store."""

    def __init__(self, store: Store, scheme: Scheme) -> None:
        self._store = store
        self._scheme = scheme

    def sync(self) -> None:
        """Makes what is missing and removes what is served no longer; needs a running loop."""
        wanted = {
            f"{version}.{group}": (group, version)
            for group in self._scheme.groups()
            for version in self._scheme.versions(group)
            if group != NOT_LISTED
        }
        for name, (group, version) in wanted.items():
            key = Key(RESOURCE, "", name)
            if self._store.latest(key) is None:
                self._store.write(key, _local(name, group, version), None)
        for revision in self._store.objects(RESOURCE):
            if revision.key.name not in wanted and _is_managed(revision.document):
                latest = self._store.latest(revision.key)
                if latest is not None:
                    self._store.delete(revision.key, latest.decode(), latest)


def is_local(service: Object) -> bool:
    """Whether an APIService is this server's own."""
    return "service" not in service.get("spec", {})


def _is_managed(service: Object) -> bool:
    return MANAGED in service["metadata"].get("labels", {}) and is_local(service)


def _local(name: str, group: str, version: str) -> Object:
    of_group, of_version = PRIORITIES.get(group, CUSTOM)
    spec: dict[str, Any] = {"version": version, "groupPriorityMinimum": of_group, "versionPriority": of_version}
    if group:
        spec["group"] = group
    label = ONSTART if group in PRIORITIES else ALWAYS
    obj: Object = {
        "apiVersion": API_SERVICE.api_version,
        "kind": API_SERVICE.name,
        "metadata": {"name": name, "labels": {MANAGED: label}},
        "spec": spec,
        "status": {
            "conditions": [
                {
                    "type": "Available",
                    "status": "True",
                    "lastTransitionTime": meta.timestamp(),
                    "reason": "Local",
                    "message": "Local APIServices are always available",
                }
            ]
        },
    }
    meta.prepare_create(obj)
    return obj
