"""ClusterRoles with an aggregationRule hold the rules of all roles that it selects, written as these change.

Upstream has a controller for it; here it is a step of the write itself, so that a role is never seen
without its rules. Only labels are kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api.kinds import CLUSTER_ROLE
from controlplane.api.selectors import LabelPredicate, compile_selector
from controlplane.api.types import Object
from controlplane.store import Key, Store

RESOURCE = CLUSTER_ROLE.resource
DEEPEST = 8
"""How far a change goes through roles that aggregate aggregated ones; a circle ends there."""


class Aggregation:
    """The aggregated roles of a store; `changed` is told of every role that is written here."""

    def __init__(self, store: Store, changed: Callable[[Key, Store], None]) -> None:
        self._changed = changed
        self._labels: dict[str, dict[str, str]] = {}
        self._selectors: dict[str, tuple[LabelPredicate, ...]] = {}
        self._sources: dict[str, list[str]] = {}
        for revision in store.objects(RESOURCE):
            self._note(revision.key.name, revision.document)
        for name in self._selectors:
            self._sources[name] = self._selected(name)

    def settle(self, key: Key, store: Store) -> None:
        """Follows the object of `key` as it is now; called when its latest state has changed."""
        if key.resource == RESOURCE:
            self._follow(key.name, store, DEEPEST)

    def _follow(self, changed: str, store: Store, deepest: int) -> None:
        latest = store.latest(Key(RESOURCE, "", changed))
        self._note(changed, latest.document if latest else None)
        for name in list(self._selectors):
            before, now = self._sources.get(name, []), self._selected(name)
            if name != changed and changed not in now and changed not in before:
                continue
            self._sources[name] = now
            if self._fill(name, now, store) and deepest and name != changed:
                self._follow(name, store, deepest - 1)

    def _note(self, name: str, role: Object | None) -> None:
        labels = role["metadata"].get("labels") if role else None
        aggregation = role.get("aggregationRule") if role else None
        if labels:
            self._labels[name] = labels
        else:
            self._labels.pop(name, None)
        if aggregation is not None:
            selectors = aggregation.get("clusterRoleSelectors", ())
            self._selectors[name] = tuple(compile_selector(selector) for selector in selectors)
        else:
            self._selectors.pop(name, None)
            self._sources.pop(name, None)

    def _selected(self, name: str) -> list[str]:
        """The roles that `name` collects, in the order of their rules."""
        found: dict[str, None] = {}
        for selects in self._selectors[name]:
            found.update(dict.fromkeys(sorted(role for role, labels in self._labels.items() if selects(labels))))
        found.pop(name, None)
        return list(found)

    def _fill(self, name: str, sources: list[str], store: Store) -> bool:
        """Writes the collected rules into the role; whether that changed it."""
        key = Key(RESOURCE, "", name)
        latest = store.latest(key)
        if latest is None:
            return False
        rules: list[Any] = []
        for source in sources:
            found = store.latest(Key(RESOURCE, "", source))
            rules += [rule for rule in (found.document.get("rules", ()) if found else ()) if rule not in rules]
        if rules == latest.document.get("rules", []):
            return False
        role = latest.decode()
        role.pop("rules", None)
        if rules:
            role["rules"] = rules
        store.write(key, role, latest)
        self._changed(key, store)
        return True
