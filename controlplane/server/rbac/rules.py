"""One policy rule: what it allows, which rules it covers, how messages print it.

Matching follows upstream's pkg/apis/rbac evaluation helpers, covering and printing its
pkg/registry/rbac/validation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from controlplane.api.field import quoted
from controlplane.server.authorization import Action

ALL = "*"


class Rule(NamedTuple):
    """A PolicyRule; each part is what the wire field of that name holds."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    @classmethod
    def of(cls, wire: Mapping[str, Sequence[str]]) -> Rule:
        """The rule of a wire object."""
        return cls(*(tuple(wire.get(field, ())) for field, _ in _FIELDS))

    def wire(self) -> dict[str, Any]:
        """The wire object; what is empty is left out."""
        return {field: list(values) for (field, _), values in zip(_FIELDS, self, strict=True) if values}

    def allows(self, action: Action, resource: str) -> bool:
        """Whether `action`, on the full resource `resource`, is allowed by this rule alone."""
        if action.verb not in self.verbs and ALL not in self.verbs:
            return False
        if action.path:
            return any(_url_covers(url, action.path) for url in self.urls)
        return (
            (action.group in self.groups or ALL in self.groups)
            and (not self.names or action.name in self.names)
            and (resource in self.resources or _any_resource(self.resources, action.subresource))
        )

    def covers(self, single: Rule) -> bool:
        """Whether this rule allows all that `single` does, which has one value in each part at most."""
        if not (ALL in self.verbs or single.verbs[0] in self.verbs):
            return False
        if single.urls:
            return any(_url_covers(url, single.urls[0]) for url in self.urls)
        if not self.resources or not (ALL in self.groups or single.groups[0] in self.groups):
            return False
        resource = single.resources[0]
        if resource not in self.resources and not _any_resource(self.resources, resource.partition("/")[2]):
            return False
        return not self.names or bool(single.names and single.names[0] in self.names)

    def singles(self) -> Iterator[Rule]:
        """This rule as rules with one value in each part."""
        for group, resource, verb in product(self.groups, self.resources, self.verbs):
            if not self.names:
                yield Rule((verb,), (group,), (resource,))
            for name in self.names:
                yield Rule((verb,), (group,), (resource,), (name,))
        for url, verb in product(self.urls, self.verbs):
            yield Rule((verb,), urls=(url,))

    def text(self) -> str:
        """The rule as messages print it: {APIGroups:[""], Resources:["pods"], Verbs:["get"]}."""
        order = (1, 2, 4, 3, 0)
        parts = [f"{_FIELDS[n][1]}:[{' '.join(map(quoted, self[n]))}]" for n in order if self[n]]
        return "{" + ", ".join(parts) + "}"


_FIELDS = (
    ("verbs", "Verbs"),
    ("apiGroups", "APIGroups"),
    ("resources", "Resources"),
    ("resourceNames", "ResourceNames"),
    ("nonResourceURLs", "NonResourceURLs"),
)

EVERYTHING = (Rule((ALL,), (ALL,), (ALL,)), Rule((ALL,), urls=(ALL,)))


def missing(held: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What of `wanted` is not covered by `held`, as rules with one value in each part."""
    return [single for rule in wanted for single in rule.singles() if not any(own.covers(single) for own in held)]


def compact(singles: Iterable[Rule]) -> list[Rule]:
    """Rules with one value in each part, those that differ in the verb only made one."""
    verbs: dict[Rule, list[str]] = {}
    for single in singles:
        found = verbs.setdefault(single._replace(verbs=()), [])
        if single.verbs[0] not in found:
            found.append(single.verbs[0])
    return [rule._replace(verbs=tuple(found)) for rule, found in verbs.items()]


def _any_resource(resources: Sequence[str], subresource: str) -> bool:
    return ALL in resources or bool(subresource and f"*/{subresource}" in resources)


def _url_covers(url: str, path: str) -> bool:
    return url in (ALL, path) or (url.endswith("*") and path.startswith(url.rstrip("*")))
