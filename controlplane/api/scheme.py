"""Which kinds there are, and how to find one.

Built from `controlplane.api.kinds`; the server routes by it, discovery and OpenAPI are printed from
it. Groups, versions and resources come in upstream's discovery order, because kubectl resolves an
ambiguous name by that order.
"""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.api.kinds import BODIES, SERVED
from controlplane.api.types import Kind

GROUP_ORDER = (
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "resource.k8s.io",
    "storagemigration.k8s.io",
)
"""Upstream's API services by descending group priority; groups not named here follow, by name."""


class Scheme:
    """Kinds by every name that a client may use for them."""

    def __init__(self, served: Iterable[Kind], bodies: Iterable[Kind] = ()) -> None:
        self._resources: dict[tuple[str, str, str], Kind] = {}
        self._kinds: dict[tuple[str, str, str], Kind] = {}
        for kind in served:
            self.add(kind)
        for kind in bodies:
            self._kinds[kind.group, kind.version, kind.name] = kind

    def add(self, kind: Kind) -> None:
        """Serves `kind` from now on, replacing one of the same group, version and plural."""
        self._resources[kind.group, kind.version, kind.plural] = kind
        self._kinds[kind.group, kind.version, kind.name] = kind

    def remove(self, kind: Kind) -> None:
        """Serves `kind` no longer; nothing happens where another has taken its place."""
        for kinds, name in ((self._resources, kind.plural), (self._kinds, kind.name)):
            if kinds.get((kind.group, kind.version, name)) is kind:
                del kinds[kind.group, kind.version, name]

    def resource(self, group: str, version: str, plural: str) -> Kind | None:
        """The kind served at /apis/GROUP/VERSION/PLURAL."""
        return self._resources.get((group, version, plural))

    def kind(self, group: str, version: str, name: str) -> Kind | None:
        """The kind of that name, bodies of subresources included."""
        return self._kinds.get((group, version, name))

    def of(self, api_version: str, name: str) -> Kind | None:
        """The kind of an object with that `apiVersion` and `kind`."""
        group, _, version = api_version.rpartition("/")
        return self._kinds.get((group, version, name))

    def named(self, name: str) -> Kind | None:
        """The kind that kubectl would take `name` for: plural, singular, short name, kind, or plural.group."""
        wanted = name.lower()
        for kind in self.served():
            if wanted in (kind.plural, kind.singular, kind.resource) or wanted in kind.short_names:
                return kind
        return None

    def served(self) -> list[Kind]:
        """All served kinds: by group and version in discovery order, then by plural."""
        return [
            kind for group in self.groups() for version in self.versions(group) for kind in self.kinds(group, version)
        ]

    def stored(self) -> list[Kind]:
        """The served kinds of which objects are kept: each object is one of exactly one of them."""
        return [kind for kind in self.served() if kind.storage is kind]

    def groups(self) -> list[str]:
        """The served groups in discovery order; "" is the core group."""
        rank = {group: number for number, group in enumerate(GROUP_ORDER)}
        return sorted({key[0] for key in self._resources}, key=lambda group: (rank.get(group, len(rank)), group))

    def versions(self, group: str) -> list[str]:
        """The served versions of `group`, the preferred one first."""
        return sorted({key[1] for key in self._resources if key[0] == group}, key=_version_rank)

    def kinds(self, group: str, version: str) -> list[Kind]:
        """The kinds of one group and version, by plural."""
        return [kind for key, kind in sorted(self._resources.items()) if key[:2] == (group, version)]


def _version_rank(version: str) -> tuple[int, int, int]:
    """Sorts v2, v1, v1beta2, v1beta1, v1alpha1: stable before beta before alpha, newer first."""
    for rank, stage in enumerate(("", "beta", "alpha")):
        major, found, minor = version.removeprefix("v").partition(stage) if stage else (version[1:], "", "")
        if major.isdigit() and (found or not stage):
            return rank, -int(major), -int(minor or 0)
    return 3, 0, 0


SCHEME = Scheme(SERVED, BODIES)
"""The kinds of this server."""
