"""Kubeconfig files with everything embedded, so that the one file is enough."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from controlplane.server.pki import Pair


def kubeconfig(
    name: str, server: str, ca_certificate: bytes, *, client: Pair | None = None, token: str = ""
) -> dict[str, Any]:
    """A Config whose only context, cluster and user are `name`; `server` is a URL. Dump it as YAML or JSON.

    The user authenticates by `client` certificate or, where that is None, by `token`.
    """
    if client is not None:
        user = {"client-certificate-data": _text(client.certificate), "client-key-data": _text(client.key)}
    else:
        user = {"token": token}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": _text(ca_certificate)}}
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
        "preferences": {},
        "users": [{"name": name, "user": user}],
    }


def _text(data: bytes) -> str:
    return b64encode(data).decode()
