"""What can be done with each subresource, and which kind its body is.

One table for all kinds: a subresource of one name means the same wherever it is served.
"""

from __future__ import annotations

from typing import NamedTuple

from controlplane.api.types import Kind


class Subresource(NamedTuple):
    """`kind`, `group` and `version` name the body; an empty `kind` stands for the parent's own."""

    verbs: tuple[str, ...]
    kind: str = ""
    group: str = ""
    version: str = "v1"


SUBRESOURCES: dict[str, Subresource] = {
    "approval": Subresource(("get", "patch", "update")),
    "attach": Subresource(("create", "get"), "PodAttachOptions"),
    "binding": Subresource(("create",), "Binding"),
    "ephemeralcontainers": Subresource(("get", "patch", "update")),
    "eviction": Subresource(("create",), "Eviction", "policy"),
    "exec": Subresource(("create", "get"), "PodExecOptions"),
    "finalize": Subresource(("update",)),
    "log": Subresource(("get",)),
    "portforward": Subresource(("create", "get"), "PodPortForwardOptions"),
    "proxy": Subresource(("create", "delete", "get", "patch", "update")),
    "resize": Subresource(("get", "patch", "update")),
    "scale": Subresource(("get", "patch", "update"), "Scale", "autoscaling"),
    "status": Subresource(("get", "patch", "update")),
    "token": Subresource(("create",), "TokenRequest", "authentication.k8s.io"),
}


def body_of(kind: Kind, subresource: str) -> tuple[str, str, str]:
    """Group, version and kind of what `subresource` of `kind` takes and returns."""
    found = SUBRESOURCES[subresource]
    if subresource == "proxy":
        return "", "v1", f"{kind.name}ProxyOptions"
    return (found.group, found.version, found.kind) if found.kind else (kind.group, kind.version, kind.name)
