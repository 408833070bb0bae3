"""Static pods: manifests in a directory of the node, which it runs without being asked by the API.

Each is shown in the API as a mirror pod, with the kubelet's annotations, its name ended by the node's. The node knows
it by the digest of its manifest, in the place of a uid. So who deletes the mirror gets another one, and the containers
do not notice; the way to end a static pod is to take its manifest away.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from controlplane.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from controlplane.api.kinds import NODE, POD
from controlplane.api.types import Object
from controlplane.client.informer import Informer
from controlplane.client.interface import Client
from controlplane.node.config import NodeConfig
from controlplane.node.runtime.spawner import Spawner

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
SUFFIXES = (".yaml", ".yml", ".json")
PREFIX = "kubernetes.io/config"
MIRROR, HASH, SEEN, SOURCE = (f"{PREFIX}.{word}" for word in ("mirror", "hash", "seen", "source"))

Manifests = dict[tuple[str, str], Object]


class StaticPods:
    """Keeps the mirror pods of one node as its manifests are; `index` names the informer's index by node."""

    def __init__(
        self,
        client: Client,
        config: NodeConfig,
        spawner: Spawner,
        pods: Informer,
        index: str,
        *,
        dropped: Callable[[str], None],
    ) -> None:
        self._client = client
        self._config = config
        self._spawner = spawner
        self._pods = pods
        self._index = index
        self._directory = config.own / "manifests"
        self._stamps: dict[str, tuple[int, int]] = {}
        self._wanted: Manifests = {}
        self._refused: dict[tuple[str, str], str] = {}
        self._known: set[str] = set()
        self._dropped = dropped

    def wants(self, digest: str) -> bool:
        """Whether a manifest with that digest is there."""
        return any(_hash(pod) == digest for pod in self._wanted.values())

    def known(self, digest: str) -> bool:
        """Whether there has been one."""
        return digest in self._known

    def seen(self, pod: Object | None) -> Object | None:
        """A pod as its node sees it: a mirror has its manifest's digest for a uid, and is not ending while that is
        there."""
        digest = _hash(pod) if pod is not None else ""
        if pod is None or not self.known(digest):
            return pod
        metadata = {**pod["metadata"], "uid": digest}
        if self.wants(digest):
            metadata.pop("deletionTimestamp", None)
            metadata.pop("deletionGracePeriodSeconds", None)
        return {**pod, "metadata": metadata}

    async def look(self) -> bool:
        """Reads the directory, if it has changed; False when it cannot be read."""
        try:
            await self._spawner.files(self._look)
        except OSError as error:
            # A file that went at this moment; the next look finds it gone.
            log.warning("static pods", extra={"node": self._config.name, "error": str(error)})
            return False
        return True

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            try:
                if await self.look():
                    await self._ensure()
            except ApiError as error:
                log.warning("static pods", extra={"node": self._config.name, "error": str(error)})
            await asyncio.sleep(CHECK_SECONDS)

    def _look(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        stamps = {}
        for path in sorted(self._directory.iterdir()):
            if path.suffix in SUFFIXES and not path.name.startswith("."):
                found = path.stat()
                stamps[path.name] = found.st_mtime_ns, found.st_size
        if stamps == self._stamps:
            return
        wanted: Manifests = {}
        for name in stamps:
            for manifest in _read(self._directory / name):
                pod = mirror(manifest, self._config.name)
                wanted[pod["metadata"]["namespace"], pod["metadata"]["name"]] = pod
        self._stamps, self._wanted = stamps, wanted
        self._known |= {_hash(pod) for pod in wanted.values()}
        self._refused.clear()

    async def _ensure(self) -> None:
        found: Manifests = {}
        for pod in self._pods.by_index(self._index, self._config.name):
            metadata = pod["metadata"]
            if MIRROR in (metadata.get("annotations") or {}):
                found[metadata["namespace"], metadata["name"]] = pod
        for place, pod in found.items():
            wanted = self._wanted.get(place)
            if wanted is None or _hash(wanted) != _hash(pod):
                await self._delete(pod)
            elif pod["metadata"].get("deletionTimestamp"):
                await self._delete(pod, grace=0)
        shown = {_hash(pod) for pod in found.values()}
        for digest in self._known - shown:
            if not self.wants(digest):
                self._known.discard(digest)
                self._dropped(digest)
        for place, pod in self._wanted.items():
            if place not in found:
                try:
                    await self._create(pod)
                except ApiError as error:
                    self._refuse(place, error.message)

    def _refuse(self, place: tuple[str, str], why: str) -> None:
        """Says once why there is no mirror; it is tried again, and the others are tried all the same."""
        if self._refused.get(place) != why:
            self._refused[place] = why
            log.warning("a static pod is refused", extra={"pod": "/".join(place), "error": why})

    async def _create(self, pod: Object) -> None:
        node = await self._client.get(NODE, self._config.name)
        owner = {"apiVersion": "v1", "kind": "Node", "name": self._config.name, "uid": node["metadata"]["uid"]}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        metadata = pod["metadata"]
        shown = {
            **pod,
            "metadata": {
                **metadata,
                "annotations": {**metadata["annotations"], SEEN: now},
                "ownerReferences": [{**owner, "controller": True}],
            },
        }
        try:
            await self._client.create(POD, shown, metadata["namespace"])
        except AlreadyExists:
            # The one before is on its way out, or the informer has not heard of this one.
            return

    async def _delete(self, pod: Object, grace: int | None = None) -> None:
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp") and grace is None:
            return
        try:
            await self._client.delete(
                POD, metadata["name"], metadata["namespace"], uid=metadata["uid"], grace_period_seconds=grace
            )
        except (NotFound, Conflict):
            return


def mirror(manifest: Object, node: str) -> Object:
    """The mirror pod of a manifest, but for what only the API knows."""
    metadata, spec = manifest.get("metadata") or {}, manifest.get("spec") or {}
    digest = hashlib.sha256(orjson.dumps([manifest, node], option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    annotations = {**(metadata.get("annotations") or {}), HASH: digest, MIRROR: digest, SOURCE: "file"}
    tolerations = [*(spec.get("tolerations") or []), {"operator": "Exists", "effect": "NoExecute"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata.get('name')}-{node}",
            "namespace": metadata.get("namespace") or "default",
            "labels": metadata.get("labels") or {},
            "annotations": annotations,
        },
        "spec": {**spec, "nodeName": node, "tolerations": tolerations, "automountServiceAccountToken": False},
    }


def _hash(pod: Object) -> str:
    return str((pod["metadata"].get("annotations") or {}).get(MIRROR) or "")


def _read(path: Path) -> Iterator[dict[str, Any]]:
    import yaml

    try:
        manifest = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        log.warning("a static pod's manifest cannot be read", extra={"path": str(path), "error": str(error)})
        return
    if _is_pod(manifest):
        yield manifest
    else:
        log.warning("a manifest of static pods is no Pod", extra={"path": str(path)})


def _is_pod(manifest: Any) -> bool:
    """Whether it is near enough to a Pod for a mirror to be made of it; the API judges the rest."""
    if not isinstance(manifest, dict) or manifest.get("kind") != "Pod":
        return False
    metadata, spec = manifest.get("metadata") or {}, manifest.get("spec") or {}
    if not isinstance(metadata, dict) or not isinstance(spec, dict):
        return False
    maps = (metadata.get(field) or {} for field in ("labels", "annotations"))
    if not all(isinstance(one, dict) for one in maps) or not isinstance(spec.get("tolerations") or [], list):
        return False
    try:
        orjson.dumps(manifest)
    except orjson.JSONEncodeError:
        return False
    return True
