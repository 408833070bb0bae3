"""Which custom resources are served: follows every write of a CustomResourceDefinition.

A definition's names are accepted and its kinds served in the step that stages its write, so whoever
made it can use it at once. What upstream's naming, establishing, approval and finalizing controllers
note in its status is written right behind, as roles are aggregated. The objects of a definition that
is being deleted are for `controlplane.controllers.custom_resources`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from controlplane.api.custom.definition import approval, condition
from controlplane.api.custom.kind import kinds_of
from controlplane.api.kinds import CUSTOM_RESOURCE_DEFINITION
from controlplane.api.meta import timestamp
from controlplane.api.scheme import Scheme
from controlplane.api.types import Kind, Object
from controlplane.server.conversion import Conversions
from controlplane.store import Key, Store

log = logging.getLogger(__name__)

RESOURCE = CUSTOM_RESOURCE_DEFINITION.resource
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"

Names = dict[str, Any]


class CustomResources:
    """The kinds that definitions add to `scheme`."""

    def __init__(self, store: Store, scheme: Scheme, conversions: Conversions) -> None:
        self._scheme = scheme
        self._conversions = conversions
        self._changed: Callable[[], None] = lambda: None
        self._served: dict[str, list[Kind]] = {}
        self._names: dict[str, tuple[str, Names]] = {}
        for revision in store.objects(RESOURCE):
            self._take(revision.key.name, revision.document)

    def follow(self, changed: Callable[[], None]) -> None:
        """Calls `changed` now, and whenever other kinds are served."""
        self._changed = changed
        changed()

    def settle(self, key: Key, store: Store) -> None:
        """Follows the definition of `key` as it is now; called when its latest state has changed."""
        if key.resource != RESOURCE:
            return
        latest = store.latest(key)
        before = self._names.get(key.name)
        if latest is None:
            self._drop(key.name, store)
        else:
            crd = self._noted(latest.decode())
            if crd != latest.document:
                store.write(key, crd, latest)
            self._take(key.name, crd)
        now = self._names.get(key.name)
        if before is not None and before != now:
            self._reconsider(before[0], key.name, store)

    def _take(self, name: str, crd: Object) -> None:
        self._names[name] = (crd["spec"]["group"], crd["status"].get("acceptedNames", {}))
        wanted = kinds_of(crd, self._conversions.of(crd)) if condition(crd, "Established") == "True" else []
        for kind in self._served.pop(name, ()):
            self._scheme.remove(kind)
        for kind in wanted:
            self._scheme.add(kind)
        self._served[name] = wanted
        self._changed()

    def _drop(self, name: str, store: Store) -> None:
        self._names.pop(name, None)
        for kind in self._served.pop(name, ()):
            self._scheme.remove(kind)
            store.end_watches(kind.storage.resource)
        self._changed()

    def _reconsider(self, group: str, but: str, store: Store) -> None:
        """Names have been given up: other definitions of the group may have been waiting for them."""
        for name, (its, _) in list(self._names.items()):
            if its == group and name != but:
                self.settle(Key(RESOURCE, "", name), store)

    def _noted(self, crd: Object) -> Object:
        """`crd` with its status as it should be; it may be changed in place."""
        status = crd.setdefault("status", {})
        accepted, names_accepted = self._accept(crd)
        status["acceptedNames"] = accepted
        conditions = [names_accepted]
        if condition(crd, "Established") != "True":
            conditions.append(
                _condition("Established", "True", "InitialNamesAccepted", "the initial names have been accepted")
                if names_accepted["status"] == "True"
                else _condition("Established", "False", "NotAccepted", "not all names are accepted")
            )
        approved = approval(crd)
        if approved is not None:
            conditions.append(_condition("KubernetesAPIApprovalPolicyConformant", *approved))
        status["conditions"] = _merged(status.get("conditions", []), conditions)
        metadata = crd["metadata"]
        if "deletionTimestamp" not in metadata and CLEANUP not in metadata.get("finalizers", ()):
            metadata["finalizers"] = [*metadata.get("finalizers", ()), CLEANUP]
        return crd

    def _accept(self, crd: Object) -> tuple[Names, Object]:
        """The names that the definition may have, and the condition that says so, by upstream's rules."""
        wanted, before = crd["spec"]["names"], crd["status"].get("acceptedNames") or {}
        resources, kinds = self._taken(crd)
        accepted, problems = dict(before), []
        for name, reason, taken in (
            ("plural", "PluralConflict", resources),
            ("singular", "SingularConflict", resources),
            ("kind", "KindConflict", kinds),
            ("listKind", "ListKindConflict", kinds),
        ):
            if wanted[name] != before.get(name) and wanted[name] in taken:
                problems.append((reason, f'"{wanted[name]}" is already in use'))
            else:
                accepted[name] = wanted[name]
        clashes = [f'"{one}" is already in use' for one in wanted.get("shortNames", ()) if one in resources]
        if clashes:
            problems.append(("ShortNamesConflict", clashes[0] if len(clashes) == 1 else f"[{', '.join(clashes)}]"))
        for name in ("categories",) if clashes else ("shortNames", "categories"):
            accepted.pop(name, None)
            if wanted.get(name):
                accepted[name] = wanted[name]
        if problems:
            return accepted, _condition("NamesAccepted", "False", *problems[-1])
        return accepted, _condition("NamesAccepted", "True", "NoConflicts", "no conflicts found")

    def _taken(self, crd: Object) -> tuple[set[str], set[str]]:
        """Names of resources, and of kinds, that other definitions and built-in kinds of the group have."""
        group, name = crd["spec"]["group"], crd["metadata"]["name"]
        resources: set[str] = set()
        kinds: set[str] = set()
        for other, (its, accepted) in self._names.items():
            if its == group and other != name:
                resources |= {*_texts(accepted, "plural", "singular"), *accepted.get("shortNames", ())}
                kinds |= set(_texts(accepted, "kind", "listKind"))
        return resources, kinds


def _texts(names: Names, *which: str) -> Iterable[str]:
    return (names[one] for one in which if one in names)


def _condition(kind: str, status: str, reason: str, message: str) -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _merged(present: list[Object], conditions: list[Object]) -> list[Object]:
    """`present` with `conditions` in their places; a transition is when the status changes."""
    found = {one.get("type", ""): one for one in present}
    for new in conditions:
        old = found.get(new["type"])
        if old is None or any(old.get(key) != value for key, value in new.items()):
            same = old is not None and old.get("status") == new["status"]
            since = old.get("lastTransitionTime", timestamp()) if old is not None and same else timestamp()
            found[new["type"]] = {"lastTransitionTime": since} | new
    return list(found.values())
