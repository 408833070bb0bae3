"""Names of the chains and sets: a prefix that says what it is, and 16 characters of a hash of what it is for.

The same policies have thus the same names on every node and after every restart. A chain's name has at most 28
characters, a set's 31.
"""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256

PREFIX = "NETSIM-"
ROOT = "NETSIM-POLICY"
INGRESS, EGRESS = "NETSIM-IN-", "NETSIM-EG-"
"""A chain for each distinct list of policies, and the set of this node's pods that those policies select."""
PEER = "NETSIM-PEER-"
"""A set of the addresses of the pods that a peer's selectors take."""
BLOCK = "NETSIM-NET-"
"""A set of an ipBlock with what it excepts."""
PORT = "NETSIM-PORT-"
"""A set of address and port of every pod that has a port of a name."""

_HASH_BYTES = 10


def name(prefix: str, text: str) -> str:
    """The name of what `text` describes."""
    return prefix + b32encode(sha256(text.encode()).digest()[:_HASH_BYTES]).decode()
