"""Names of the chains that belong to one Service port or endpoint, as kube-proxy computes them.

A name is a prefix and the first 16 characters of base32(sha256(text)), where the text is the Service port's
name, the protocol in lower case and, for an endpoint, its address. The same Service has thus the same chain
on every node and after every restart.
"""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256

CLUSTER_POLICY = "KUBE-SVC-"
LOCAL_POLICY = "KUBE-SVL-"
EXTERNAL = "KUBE-EXT-"
FIREWALL = "KUBE-FW-"
ENDPOINT = "KUBE-SEP-"

_PREFIXES = (CLUSTER_POLICY, LOCAL_POLICY, ENDPOINT, FIREWALL, EXTERNAL)
_HASH_BYTES = 10
"""Of the digest: 80 bits are 16 characters in base32."""


def port_text(namespace: str, name: str, port_name: str) -> str:
    """A Service port as rules and comments name it: "namespace/name:port", or without ":port" when it has no name."""
    return f"{namespace}/{name}:{port_name}" if port_name else f"{namespace}/{name}"


def chain_hash(text: str) -> str:
    """The 16 characters that stand for `text` in a chain's name."""
    return b32encode(sha256(text.encode()).digest()[:_HASH_BYTES]).decode()


def endpoint_chain(port: str, protocol: str, address: str) -> str:
    """The chain of one endpoint, e.g. `endpoint_chain("default/web:http", "tcp", "10.44.1.2:8080")`."""
    return ENDPOINT + chain_hash(port + protocol + address)


def is_service_chain(chain: str) -> bool:
    """Whether `chain` is one that belongs to a Service, and may be deleted when no Service wants it."""
    return chain.startswith(_PREFIXES)
