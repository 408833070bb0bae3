"""Revisions, compare-and-swap and watch, on one SQLite file.

    database.py   the file: schema, load, append a batch, compact
    revision.py   one stored state of one object, and the change that made it
    history.py    the recent changes, bounded, from which a watch can start in the past
    watcher.py    one bounded subscription
    store.py      the store: staging, the writer thread, memory, fan-out

The store knows resources, names and bytes. It knows no kind, no validation and no selector.
"""

from controlplane.store.revision import Change, Key, Revision
from controlplane.store.store import Store, open_store
from controlplane.store.watcher import Watcher

__all__ = ["Change", "Key", "Revision", "Store", "Watcher", "open_store"]
