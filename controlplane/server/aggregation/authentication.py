"""How an extension API server knows who asks: a certificate of this server, and a ConfigMap that says whose it is."""

from __future__ import annotations

from contextlib import suppress

from controlplane.api.errors import AlreadyExists
from controlplane.api.kinds import CONFIG_MAP
from controlplane.server.pki import Pair, Pki
from controlplane.server.registry import Registry
from controlplane.server.requests import WriteOptions

NAME, NAMESPACE = "extension-apiserver-authentication", "kube-system"
CLIENT = "front-proxy-client"


def front_proxy_client(pki: Pki) -> Pair:
    """The certificate that is shown to extension API servers; it and its CA are made when missing."""
    pki.front_proxy.ensure_authority()
    return pki.front_proxy.client(CLIENT, CLIENT)


async def ensure_extension_authentication(registry: Registry, pki: Pki) -> None:
    """Makes the ConfigMap that extension API servers read, or puts the present certificates into it."""
    data = {
        "client-ca-file": pki.ca_certificate.read_text(),
        "requestheader-allowed-names": f'["{CLIENT}"]',
        "requestheader-client-ca-file": pki.front_proxy.ca_certificate.read_text(),
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-uid-headers": '["X-Remote-Uid"]',
        "requestheader-username-headers": '["X-Remote-User"]',
    }
    with suppress(AlreadyExists):
        await registry.create(CONFIG_MAP, NAMESPACE, {"metadata": {"name": NAME}, "data": data}, WriteOptions())
        return
    await registry.patch(CONFIG_MAP, NAME, NAMESPACE, {"data": data}, "merge", WriteOptions())
