"""One webhook of a configuration, compiled: whether a request is for it, and whom to call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.api.kinds import NAMESPACE
from controlplane.api.rules.conditions import Condition, compile_conditions
from controlplane.api.scheme import Scheme
from controlplane.api.selectors import LabelPredicate, compile_selector
from controlplane.api.types import Kind, Object
from controlplane.server.admission import Attributes
from controlplane.server.outgoing import Peer
from controlplane.store import Key, Store

SAFE_ON_DRY_RUN = ("None", "NoneOnDryRun")


@dataclass(frozen=True, slots=True)
class Rule:
    """`RuleWithOperations`: what is asked, of which resources."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    scope: str

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> Rule:
        resources = tuple(_divided(one) for one in rule.get("resources", ()))
        return cls(
            frozenset(rule.get("operations", ())),
            frozenset(rule.get("apiGroups", ())),
            frozenset(rule.get("apiVersions", ())),
            resources,
            rule.get("scope", "*"),
        )

    def takes(self, operation: str, kind: Kind, subresource: str) -> bool:
        """Whether the rule names this operation on objects of `kind`."""
        return (
            _names(self.operations, operation)
            and _names(self.groups, kind.group)
            and _names(self.versions, kind.version)
            and self._takes_scope(kind)
            and any(plural in ("*", kind.plural) and sub in ("*", subresource) for plural, sub in self.resources)
        )

    def _takes_scope(self, kind: Kind) -> bool:
        # A Namespace is cluster-scoped, whatever its own requests say of a namespace.
        return self.scope == "*" or (self.scope == "Namespaced") == kind.namespaced


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook; `configuration` is the name of the object that it is from."""

    name: str
    configuration: str
    peer: Peer
    rules: tuple[Rule, ...]
    in_namespace: LabelPredicate
    on_object: LabelPredicate
    equivalent: bool
    fails: bool
    seconds: int
    side_effects: str
    again: bool
    versions: tuple[str, ...]
    conditions: tuple[Condition, ...]

    @property
    def harmless_on_dry_run(self) -> bool:
        return self.side_effects in SAFE_ON_DRY_RUN

    def kind_for(self, request: Attributes, scheme: Scheme) -> Kind | None:
        """The version of the request's resource that the rules name; None where they do not."""
        for kind in _candidates(request.kind, scheme) if self.equivalent else (request.kind,):
            if any(rule.takes(request.operation, kind, request.subresource) for rule in self.rules):
                return kind
        return None

    def selects(self, request: Attributes, store: Store) -> bool:
        """Whether both selectors take the request."""
        return self._selects_namespace(request, store) and (
            self.on_object(_labels(request.obj)) or (request.old is not None and self.on_object(_labels(request.old)))
        )

    def _selects_namespace(self, request: Attributes, store: Store) -> bool:
        if request.kind is NAMESPACE:
            return self.in_namespace(_labels(request.obj))
        if not request.namespace:
            return True
        namespace = store.latest(Key(NAMESPACE.resource, "", request.namespace))
        return self.in_namespace(_labels(namespace.document) if namespace is not None else {})


def hooks_of(configuration: Object) -> list[Hook]:
    """The webhooks of one configuration, in their order."""
    return [_hook(configuration["metadata"]["name"], one) for one in configuration.get("webhooks", ())]


def _hook(configuration: str, hook: Mapping[str, Any]) -> Hook:
    return Hook(
        name=hook["name"],
        configuration=configuration,
        peer=Peer.of(hook["clientConfig"]),
        rules=tuple(Rule.of(rule) for rule in hook.get("rules", ())),
        in_namespace=compile_selector(hook.get("namespaceSelector", {})),
        on_object=compile_selector(hook.get("objectSelector", {})),
        equivalent=hook.get("matchPolicy", "Equivalent") == "Equivalent",
        fails=hook.get("failurePolicy", "Fail") == "Fail",
        seconds=hook.get("timeoutSeconds", 10),
        side_effects=hook.get("sideEffects", ""),
        again=hook.get("reinvocationPolicy", "Never") == "IfNeeded",
        versions=tuple(hook.get("admissionReviewVersions", ())),
        conditions=compile_conditions(hook.get("matchConditions", ())),
    )


def _candidates(kind: Kind, scheme: Scheme) -> Iterable[Kind]:
    """`kind`, then the other versions of the same resource."""
    yield kind
    for version in scheme.versions(kind.group):
        other = scheme.resource(kind.group, version, kind.plural)
        if other is not None and other is not kind and other.storage is kind.storage:
            yield other


def _divided(resource: str) -> tuple[str, str]:
    plural, _, subresource = resource.partition("/")
    return plural, subresource


def _names(wanted: frozenset[str], value: str) -> bool:
    return value in wanted or "*" in wanted


def _labels(obj: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = obj["metadata"].get("labels", {})
    return labels
