"""What a kind is: data, plus the few functions in which kinds really differ.

One `Kind` per served resource. Routing, discovery, storage keys, OpenAPI, tables and RBAC
names all derive from it; nothing else in the project lists kinds. Objects themselves are plain
JSON dictionaries in the wire form (camelCase), which is what clients send and what they get back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from controlplane.api.errors import FieldError

if TYPE_CHECKING:
    from controlplane.api.schema import Node

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a `meta.k8s.io/v1` Table; priority 0 is always printed, 1 with `-o wide`."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A subresource that writes a part of the spec of one kind only, such as pods/ephemeralcontainers.

    `prepare_update` (new, old) puts back everything but the part; `validate_update` replaces the kind's own.
    """

    prepare_update: Callable[[Object, Object], None]
    validate_update: Callable[[Object, Object], list[FieldError]]


@dataclass(frozen=True, slots=True)
class Strategy:
    """The hooks in which one kind differs from another; each has a do-nothing default.

    `default` fills defaults in place. `prepare_create` and `prepare_update` (new, old) drop what
    the caller may not set (status on the main resource, spec on /status) and keep `generation`.
    `validate` and `validate_update` (new, old) return every error found, in upstream's field order.
    `warnings` returns texts for the HTTP `Warning` header. `fields` gives the values that
    `fieldSelector` may name, besides metadata.name and metadata.namespace. `row` gives the cells
    of one object, as many as `columns`, given the object and the present time (epoch seconds).
    `prepare_status_update` and `validate_status_update` (new, old) are for writes to /status: the
    first puts back everything but status, the second checks what such a write may change.
    `parts` are further subresources of this kind alone, by name.
    """

    default: Callable[[Object], None] = lambda obj: None
    prepare_create: Callable[[Object], None] = lambda obj: None
    prepare_update: Callable[[Object, Object], None] = lambda new, old: None
    validate: Callable[[Object], list[FieldError]] = lambda obj: []
    validate_update: Callable[[Object, Object], list[FieldError]] = lambda new, old: []
    warnings: Callable[[Object], list[str]] = lambda obj: []
    fields: Callable[[Object], Mapping[str, str]] = lambda obj: {}
    prepare_status_update: Callable[[Object, Object], None] = lambda new, old: None
    validate_status_update: Callable[[Object, Object], list[FieldError]] = lambda new, old: []
    parts: Mapping[str, Part] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    row: Callable[[Object, float], list[Any]] | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """How the objects of one version are kept in the form of another, so that both show the same objects.

    `stored` is the kind in whose form they are kept; None where this is that kind, and only objects
    kept by an earlier storage version need converting. `to_stored` and `from_stored` take a decoded
    object, which they may take over but not change in place, and return one whose apiVersion and kind
    are set. What the other version cannot say has to survive the way there and back. `prepare` is set
    where others convert: it raises what those functions would, for all of the objects together.
    """

    to_stored: Callable[[Object], Object]
    from_stored: Callable[[Object], Object]
    stored: Kind | None = None
    prepare: Callable[[Iterable[Object]], None] | None = None


class ScalePaths(NamedTuple):
    """Where a kind keeps what its /scale shows; `selector` is empty where it shows none."""

    spec_replicas: tuple[str, ...] = ("spec", "replicas")
    status_replicas: tuple[str, ...] = ("status", "replicas")
    selector: tuple[str, ...] = ("spec", "selector")


DEFAULT_SCALE = ScalePaths()


class Schema(Protocol):
    """What a kind has instead of one of the installed definitions: `document` is its OpenAPI schema."""

    @property
    def node(self) -> Node: ...

    @property
    def document(self) -> Mapping[str, Any]: ...

    @property
    def digest(self) -> str:
        """Changes with the schema."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One served resource, e.g. Deployment in apps/v1. There is one instance per kind, so it is
    compared and hashed by identity.

    `definition` is the key of its schema in the OpenAPI definitions. `subresources` are names such
    as "status", "scale", "log". `verbs` are Kubernetes verbs. `grace_period` is the default
    deletion grace in seconds, None for kinds that are deleted at once. `conversion` is set where
    objects are not kept as they are shown: defaults and checks of such a kind are made on the shown
    form, then those of `storage` on the kept one. `schema` is set for kinds made at run time.
    `deprecation` is said to whoever uses the kind, reading or writing. `put_creates` is whether an
    update of an object that there is not makes it, `needs_version` whether one must name the
    resourceVersion that it was made from.
    """

    group: str
    version: str
    name: str
    plural: str
    definition: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    subresources: tuple[str, ...] = ()
    grace_period: int | None = None
    strategy: Strategy = field(default_factory=Strategy)
    conversion: Conversion | None = None
    schema: Schema | None = None
    singular_name: str = ""
    scale: ScalePaths = DEFAULT_SCALE
    deprecation: str = ""
    put_creates: bool = False
    needs_version: bool = False

    @property
    def storage(self) -> Kind:
        """The kind in whose form objects are kept: itself, for most."""
        return (self.conversion.stored if self.conversion is not None else None) or self

    @property
    def api_version(self) -> str:
        """The wire form of group and version: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """The singular resource name: "deployment"."""
        return self.singular_name or self.name.lower()

    @property
    def resource(self) -> str:
        """The group resource as messages print it: "pods", "deployments.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def path(self) -> str:
        """The URL prefix of the group and version: "/api/v1", "/apis/apps/v1"."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
