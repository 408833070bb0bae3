"""Random uids, made of a store of random bytes.

Each look at the kernel's generator lets another thread have the interpreter. At a thousand objects a second the event
loop would wait longer for it to come back than for anything else that making an object takes.
"""

from __future__ import annotations

import os
import uuid

_BYTES, _AT_ONCE = 16, 256
_store: list[bytes] = []


def new_uid() -> str:
    """A version 4 UUID; threads may call it."""
    while True:
        try:
            return str(uuid.UUID(bytes=_store.pop(), version=4))
        except IndexError:
            fresh = os.urandom(_BYTES * _AT_ONCE)
            _store.extend(fresh[at : at + _BYTES] for at in range(0, len(fresh), _BYTES))
