"""ServiceAccount: every pod runs as an account, and finds that account's token in a volume."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from controlplane.api.kinds import NAMESPACE, POD, SECRET, SERVICE_ACCOUNT
from controlplane.api.meta import generate_name
from controlplane.api.types import Kind, Object
from controlplane.server import wording
from controlplane.server.admission import Attributes
from controlplane.server.rbac.nodes import references
from controlplane.store import Key, Store

DEFAULT_ACCOUNT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
TOKEN_SECONDS = 3607
VOLUME_PREFIX = "kube-api-access-"


class ServiceAccountAdmission:
    """`patience` is how many seconds a pod waits for the account `default`, which a controller makes in each new
    namespace; then it is refused. Without patience, where no controller runs, it goes without a token."""

    def __init__(self, patience: float = 0.0) -> None:
        self._patience = patience
        self._awaited: dict[str, asyncio.Event] = {}

    async def wait(self, kind: Kind, namespace: str, pod: Object, store: Store) -> None:
        """Returns when the account that a new pod takes by default is there, or has been waited for in vain."""
        if kind is not POD or not self._patience or pod.get("spec", {}).get("serviceAccountName"):
            return
        if (
            store.latest(_account(namespace)) is not None
            or store.latest(Key(NAMESPACE.resource, "", namespace)) is None
        ):
            return
        made = self._awaited.setdefault(namespace, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await made.wait()
        self._awaited.pop(namespace, None)

    def settle(self, key: Key, store: Store) -> None:
        """Takes in a write: an account that is waited for may be there."""
        if self._awaited and key.resource == SERVICE_ACCOUNT.resource and key.name == DEFAULT_ACCOUNT:
            awaited = self._awaited.get(key.namespace)
            if awaited is not None and store.latest(key) is not None:
                awaited.set()

    def admit(self, request: Attributes, store: Store) -> None:
        if request.kind is not POD or request.operation != "CREATE":
            return
        pod = request.obj
        spec = pod.setdefault("spec", {})
        if MIRROR_ANNOTATION in pod["metadata"].get("annotations", {}):
            why = _mirror_refers(spec)
            if why:
                raise wording.forbidden(POD, request.name, why)
            return
        name = spec.setdefault("serviceAccountName", DEFAULT_ACCOUNT)
        spec["serviceAccount"] = name
        found = store.latest(Key(SERVICE_ACCOUNT.resource, request.namespace, name))
        if found is None:
            if name == DEFAULT_ACCOUNT and not self._patience:
                return
            why = f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found'
            raise wording.forbidden(POD, request.name, why)
        account = found.document
        if _wants_token(spec, account):
            _mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]


def _account(namespace: str) -> Key:
    return Key(SERVICE_ACCOUNT.resource, namespace, DEFAULT_ACCOUNT)


def projects_token(spec: Object) -> bool:
    """Whether a volume of the pod holds a token."""
    sources = (one for volume in spec.get("volumes", ()) for one in volume.get("projected", {}).get("sources", ()))
    return any("serviceAccountToken" in source for source in sources)


def _mirror_refers(spec: Object) -> str:
    """What a mirror pod, which its node writes and nobody else decides about, refers to and may not."""
    if spec.get("serviceAccountName"):
        return "a mirror pod may not reference service accounts"
    if any(plural == SECRET.plural for plural, _ in references(spec)):
        return "a mirror pod may not reference secrets"
    return "a mirror pod may not use ServiceAccountToken volume projections" if projects_token(spec) else ""


def _wants_token(spec: Object, account: Object) -> bool:
    own = spec.get("automountServiceAccountToken")
    return bool(own if own is not None else account.get("automountServiceAccountToken", True))


def _mount_token(spec: Object) -> None:
    """Adds the projected volume, and its mount to each container that has nothing at that path."""
    existing = [n for v in spec.get("volumes", ()) if (n := v.get("name", "")).startswith(VOLUME_PREFIX)]
    name = existing[0] if existing else generate_name(VOLUME_PREFIX)
    mounted = False
    for container in [*spec.get("initContainers", ()), *spec.get("containers", ())]:
        mounts = container.setdefault("volumeMounts", [])
        if any(mount.get("mountPath") == MOUNT_PATH for mount in mounts):
            continue
        mounts.append({"name": name, "readOnly": True, "mountPath": MOUNT_PATH})
        mounted = True
    if mounted and not existing:
        spec.setdefault("volumes", []).append({"name": name, "projected": _sources()})


def _sources() -> dict[str, Any]:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [namespace]}},
        ],
        "defaultMode": 0o644,
    }
