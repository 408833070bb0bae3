"""What is kept of an object takes as much memory as its bytes."""

from __future__ import annotations

import tracemalloc

import orjson

from controlplane.store.revision import encoded

MANY = 200
OVERHEAD = 200
"""Of an object of Python, and its place in a list."""


def test_what_is_stored_takes_no_more_than_it_needs() -> None:
    document = {
        "kind": "Pod",
        "spec": {"containers": [{"name": f"c{number}", "image": "nginx"} for number in range(20)]},
    }
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [encoded(document) for _ in range(MANY)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept[0] == orjson.dumps(document)
    assert (after - before) / MANY < len(kept[0]) + OVERHEAD
