"""The bindings by subject and the rules by role, so that a decision costs microseconds and decodes nothing.

Nothing is read before somebody asks who is not a master; from then on each write of a role or
binding is taken in as the registry reports it, before the caller hears of its success.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from controlplane.api.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from controlplane.api.types import Object
from controlplane.server.rbac.rules import Rule
from controlplane.server.requests import User
from controlplane.store import Key, Store

BINDINGS = (CLUSTER_ROLE_BINDING.resource, ROLE_BINDING.resource)
ROLES = (CLUSTER_ROLE.resource, ROLE.resource)


class Subject(NamedTuple):
    """Who is bound: `kind` is User or Group. A service account is a user of that account's name."""

    kind: str
    name: str


class Bound(NamedTuple):
    """One binding as one subject has it: where it is stored, the role's key, and how messages print it."""

    key: Key
    role: Key
    text: str


class RoleIndex:
    """The roles and bindings of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loaded = False
        self._written: set[Key] = set()
        self._bound: dict[str, dict[Subject, list[Bound]]] = {}
        self._subjects: dict[Key, list[Subject]] = {}
        self._rules: dict[Key, tuple[Rule, ...]] = {}

    def settle(self, key: Key, _store: Store) -> None:
        """Takes in the object of `key` as it is now; called when its latest state has changed."""
        if key.resource in ROLES:
            self._rules.pop(key, None)
        elif key.resource in BINDINGS and self._loaded:
            self._take(key)
        elif key.resource in BINDINGS:
            self._written.add(key)

    def bindings(self, user: User, namespace: str) -> Iterator[Bound]:
        """What binds `user` everywhere, then what binds him in `namespace`; a binding may come twice."""
        if not self._loaded:
            self._load()
        for place in ("", namespace) if namespace else ("",):
            found = self._bound.get(place)
            if found:
                yield from found.get(Subject("User", user.name), ())
                for group in user.groups:
                    yield from found.get(Subject("Group", group), ())

    def rules(self, role: Key) -> tuple[Rule, ...] | None:
        """The rules of a role, None when there is no such role."""
        rules = self._rules.get(role)
        if rules is None:
            latest = self._store.latest(role)
            if latest is None:
                return None
            rules = self._rules[role] = tuple(Rule.of(wire) for wire in latest.document.get("rules", ()))
        return rules

    def _load(self) -> None:
        self._loaded = True
        # A binding that is staged and not yet committed is known by its write only.
        written, self._written = self._written, set()
        committed = (revision.key for resource in BINDINGS for revision in self._store.objects(resource))
        for key in dict.fromkeys((*committed, *written)):
            self._take(key)

    def _take(self, key: Key) -> None:
        latest = self._store.latest(key)
        self._enter(key, latest.document if latest else None)

    def _enter(self, key: Key, binding: Object | None) -> None:
        place = self._bound.setdefault(key.namespace, {})
        for subject in self._subjects.pop(key, ()):
            place[subject] = [bound for bound in place[subject] if bound.key != key]
            if not place[subject]:
                del place[subject]
        if binding is not None:
            role = role_key(binding["roleRef"], key.namespace)
            for wire in binding.get("subjects", ()):
                bound = _subject(wire, key.namespace)
                if bound is not None and bound not in self._subjects.get(key, ()):
                    self._subjects.setdefault(key, []).append(bound)
                    place.setdefault(bound, []).append(Bound(key, role, _text(key, role, wire)))
        if not place:
            del self._bound[key.namespace]


def role_key(reference: Object, namespace: str) -> Key:
    """Where the role that a binding in `namespace` refers to is stored."""
    if reference.get("kind") == CLUSTER_ROLE.name:
        return Key(CLUSTER_ROLE.resource, "", reference.get("name", ""))
    return Key(ROLE.resource, namespace, reference.get("name", ""))


def role_not_found(role: Key) -> str:
    """Upstream's words for a role that a binding names in vain."""
    kind = CLUSTER_ROLE if role.resource == CLUSTER_ROLE.resource else ROLE
    return f'{kind.singular}.{kind.group} "{role.name}" not found'


def _subject(wire: Object, namespace: str) -> Subject | None:
    if wire["kind"] != "ServiceAccount":
        return Subject(wire["kind"], wire["name"])
    namespace = wire.get("namespace") or namespace
    return Subject("User", f"system:serviceaccount:{namespace}:{wire['name']}") if namespace else None


def _text(key: Key, role: Key, wire: Object) -> str:
    """A binding as upstream's reasons print it."""
    kind = ROLE_BINDING if key.namespace else CLUSTER_ROLE_BINDING
    name = f"{key.name}/{key.namespace}" if key.namespace else key.name
    role_kind = CLUSTER_ROLE if role.resource == CLUSTER_ROLE.resource else ROLE
    subject = wire["name"]
    if wire["kind"] == "ServiceAccount":
        subject = f"{subject}/{wire.get('namespace') or key.namespace}"
    return f'{kind.name} "{name}" of {role_kind.name} "{role.name}" to {wire["kind"]} "{subject}"'
