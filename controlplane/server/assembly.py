"""Puts store, admission and registry together: what an API server is, short of its sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from controlplane.server.admission.namespace_lifecycle import NamespaceLifecycle
from controlplane.server.bootstrap import ensure_system_objects
from controlplane.server.registry import Registry
from controlplane.store import open_store


@asynccontextmanager
async def open_registry(path: Path) -> AsyncIterator[Registry]:
    """The registry on the state file `path`, with every admission plugin and the system objects in place."""
    async with open_store(path) as store:
        registry = Registry(store, plugins=(NamespaceLifecycle(),))
        await ensure_system_objects(registry)
        yield registry
