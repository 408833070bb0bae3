"""Names for kernel objects: a readable part, then a hash that keeps them apart.

Links may have 15 characters only, and many clusters share the host's namespace, so a name is for people;
ownership is never read from it (see `netsim.mark`).
"""

from __future__ import annotations

import hashlib
import re

LONGEST_LINK_NAME = 15
POD_MAC_PREFIX = "0a:58"
"""What the CNI bridge plugin gave pods and bridges."""
NODE_MAC_PREFIX = "42:01"
"""What Google gives its virtual machines and gateways."""
_HASH_LENGTH = 6
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def digest(*parts: str, length: int = _HASH_LENGTH) -> str:
    """A short stable hash of `parts` in digits and lower-case letters."""
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:16])
    letters = []
    for _ in range(length):
        number, remainder = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[remainder])
    return "".join(letters)


def link_name(readable: str, *parts: str) -> str:
    """A link's name of at most 15 characters: as much of `readable` as fits, and a hash of it with `parts`.

    >>> link_name("veth", "prod", "web-1")
    'vethdcbx6m'
    """
    room = LONGEST_LINK_NAME - _HASH_LENGTH
    head = re.sub(r"[^A-Za-z0-9_.-]", "", readable)[:room]
    return head + digest(readable, *parts)


def fitted(name: str, *parts: str) -> str:
    """`name` itself where it can be a link's, else `link_name` of it."""
    if len(name) <= LONGEST_LINK_NAME and re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        return name
    return link_name(name, *parts)


def hardware_address(*parts: str) -> str:
    """A stable, locally administered, unicast MAC address."""
    raw = hashlib.sha256("\0".join(parts).encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (raw[0] & 0xFC | 0x02, *raw[1:6]))


def hardware_address_of(address: str, prefix: str = POD_MAC_PREFIX) -> str:
    """The MAC address of the link that holds this IPv4 address: a prefix and then its four bytes.

    A capture can then be read without a table, and an address that is used again by another pod does not leave stale
    neighbour entries behind.
    """
    return f"{prefix}:" + ":".join(f"{int(part):02x}" for part in address.split("."))
