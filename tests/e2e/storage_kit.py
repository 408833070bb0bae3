"""Claims, volumes and pods for the tests of storage, and kubectl in the namespace of one."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster


def claim(name: str, size: str = "16Mi", *, modes: str = "ReadWriteOnce", **spec: Any) -> dict[str, Any]:
    resources = {"requests": {"storage": size}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": [modes], "resources": resources, **spec},
    }


def volume(
    name: str, size: str, source: dict[str, Any], *, modes: str = "ReadWriteOnce", **more: Any
) -> dict[str, Any]:
    labels = more.pop("labels", {})
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": labels},
        "spec": {"capacity": {"storage": size}, "accessModes": [modes], **source, **more},
    }


def pod(name: str, claimed: str = "", *, node: str = "", script: str = "sleep inf", **more: Any) -> dict[str, Any]:
    source = more.pop("source", {"persistentVolumeClaim": {"claimName": claimed}})
    container = {
        "name": "c",
        "image": "busybox",
        "command": ["sh", "-c", f"trap 'exit 0' TERM; {script} & wait"],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }
    where = {"nodeSelector": {"kubernetes.io/hostname": node}} if node else {}
    spec = {"containers": [container], "volumes": [{"name": "v", **source}], "terminationGracePeriodSeconds": 2}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {**spec, **where, **more}}


class Storage:
    """One namespace of the shared cluster."""

    def __init__(self, cluster: Cluster, namespace: str, eventually: Eventually) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.eventually = eventually

    def out(self, *words: str, stdin: str | None = None) -> str:
        return self.cluster.out("-n", self.namespace, *words, stdin=stdin)

    def apply(self, *objects: dict[str, Any]) -> None:
        self.out("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def get(self, kind: str, name: str) -> Any:
        return json.loads(self.out("get", kind, name, "-o", "json"))

    def find(self, kind: str, name: str) -> str:
        return self.out("get", kind, name, "--ignore-not-found", "-o", "name").strip()

    def phase(self, kind: str, name: str, wanted: str) -> None:
        self.out("wait", f"--for=jsonpath={{.status.phase}}={wanted}", f"{kind}/{name}", "--timeout=60s")

    def ready(self, *names: str) -> None:
        self.out("wait", "--for=condition=Ready", *(f"pod/{name}" for name in names), "--timeout=120s")

    def sh(self, name: str, script: str) -> str:
        return self.out("exec", name, "--", "sh", "-c", f"exec 2>&1; {script}; true")

    def delete(self, *words: str) -> None:
        self.out("delete", *words, "--timeout=120s")

    def events(self, name: str) -> list[tuple[str, str, str]]:
        found = json.loads(self.out("get", "events", "-o", "json", f"--field-selector=involvedObject.name={name}"))
        return [(one["type"], one["reason"], one["message"]) for one in found["items"]]

    def until_event(self, name: str, kind: str, reason: str, words: str) -> None:
        def said() -> bool:
            return any((k, r) == (kind, reason) and words in message for k, r, message in self.events(name))

        self.eventually(said)
