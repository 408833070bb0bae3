"""From a CustomResourceDefinition to the kinds that it defines, one a served version.

Objects are kept in the form of the storage version; the other versions are views of them
(`types.Conversion`) that differ by their apiVersion, as the conversion strategy None says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any, Protocol

import orjson

from controlplane.api import meta, names
from controlplane.api.cel import Budget
from controlplane.api.custom.columns import columns_of
from controlplane.api.custom.defaults import Fill, compile_defaults
from controlplane.api.custom.jsonpath import compile_path, field_names
from controlplane.api.custom.keywords import Check, Errors
from controlplane.api.custom.rules import NOT_CHECKED, NOWHERE, compile_rules
from controlplane.api.custom.rules import Check as RuleCheck
from controlplane.api.custom.schema import compile_root
from controlplane.api.custom.validation import compile_checks
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid
from controlplane.api.schema import Decoding, Node
from controlplane.api.types import Conversion, Kind, Object, ScalePaths, Strategy

ALL_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")


class CustomSchema:
    """The schema of one version: kept as text, compiled when the first object of it is written or read."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._text = orjson.dumps(schema)

    @property
    def document(self) -> dict[str, Any]:
        """The schema as the definition has it, freshly parsed."""
        document: dict[str, Any] = orjson.loads(self._text)
        return document

    @property
    def digest(self) -> str:
        """Changes with the schema."""
        return hashlib.sha256(self._text).hexdigest()

    @property
    def has_defaults(self) -> bool:
        """Whether there may be something to fill in."""
        return b'"default":' in self._text

    @cached_property
    def node(self) -> Node:
        """The decoder."""
        return compile_root(self.document)

    @cached_property
    def fill(self) -> Fill | None:
        """Fills defaults in, without changing what it is given."""
        return compile_defaults(self.document)

    @cached_property
    def check(self) -> Check:
        """The value checks."""
        return compile_checks(self.document)

    @cached_property
    def rules(self) -> RuleCheck | None:
        """The expressions."""
        return compile_rules(self.document) if b'"x-kubernetes-validations":' in self._text else None

    def errors(self, obj: Object, old: Object | None = None) -> Errors:
        """Every error in the values of `obj`, which is to replace `old`; rules are only run on what has no other.

        What was wrong in `old` already, and stays as it was, may stay: a definition may have become stricter since.
        """
        errors: Errors = []
        self.check(obj, "", errors)
        errors = errors if old is None else _fresh(errors, obj, old)
        if self.rules is None:
            return errors
        if errors:
            return [*errors, invalid(NOWHERE, "null", NOT_CHECKED)]
        self.rules(obj, old, "", errors, Budget())
        return errors if old is None else _fresh(errors, obj, old)


class Converts(Protocol):
    """What converts between the versions of one definition, where it is not the apiVersion alone that differs."""

    def to(self, target: str) -> Callable[[Object], Object]: ...

    def prepare(self, objects: Iterable[Object], target: str) -> None: ...


def kinds_of(crd: Object, converter: Converts | None = None) -> list[Kind]:
    """The kinds of the served versions; the one in whose form objects are kept is the first."""
    served = [version for version in crd["spec"]["versions"] if version.get("served")]
    if not served:
        return []
    storage = next((version for version in served if version.get("storage")), served[0])
    several = len(crd["spec"]["versions"]) > 1
    make = partial(_kind, crd, converter=converter if several else None)
    kept = make(storage, stored=None, converts=several)
    others = [make(version, stored=kept, converts=True) for version in served if version is not storage]
    return [kept, *others]


def _kind(
    crd: Object, version: Mapping[str, Any], *, stored: Kind | None, converts: bool, converter: Converts | None
) -> Kind:
    spec = crd["spec"]
    accepted = crd.get("status", {}).get("acceptedNames") or spec["names"]
    subresources = version.get("subresources") or {}
    schema = CustomSchema((version.get("schema") or {}).get("openAPIV3Schema") or {})
    api_version = f"{spec['group']}/{version['name']}"
    namespaced = spec["scope"] == "Namespaced"
    conversion = None
    if converts or schema.has_defaults:
        target = stored.api_version if stored is not None else api_version
        show = converter.to(api_version) if converter is not None else _renamed(api_version)
        conversion = Conversion(
            to_stored=converter.to(target) if converter is not None else _renamed(target),
            from_stored=lambda obj: _shown(schema, show(obj)),
            stored=stored,
            prepare=partial(converter.prepare, target=api_version) if converter is not None else None,
        )
    verbs: tuple[str, ...] = ALL_VERBS
    if "deletionTimestamp" in crd["metadata"]:
        verbs = tuple(verb for verb in verbs if verb != "create")
    return Kind(
        group=spec["group"],
        version=version["name"],
        name=accepted["kind"],
        plural=accepted["plural"],
        definition=definition_name(spec["group"], version["name"], accepted["kind"]),
        namespaced=namespaced,
        short_names=tuple(accepted.get("shortNames", ())),
        categories=tuple(accepted.get("categories", ())),
        verbs=verbs,
        subresources=tuple(name for name in ("scale", "status") if name in subresources),
        strategy=_strategy(spec, version, schema, with_status="status" in subresources),
        conversion=conversion,
        schema=schema,
        singular_name=accepted.get("singular", ""),
        scale=_scale(subresources.get("scale")),
        deprecation=_deprecation(version, api_version, accepted["kind"]),
        needs_version=True,
    )


def _deprecation(version: Mapping[str, Any], api_version: str, kind: str) -> str:
    """What whoever uses the version is told, "" where it is not deprecated."""
    if not version.get("deprecated"):
        return ""
    return version.get("deprecationWarning") or f"{api_version} {kind} is deprecated"


def definition_name(group: str, version: str, kind: str) -> str:
    """The name of a custom resource's schema in OpenAPI documents: "com.example.v1.Widget"."""
    return ".".join([*reversed(group.split(".")), version, kind])


def _renamed(api_version: str) -> Callable[[Object], Object]:
    return lambda obj: obj if obj["apiVersion"] == api_version else {**obj, "apiVersion": api_version}


def _shown(schema: CustomSchema, obj: Object) -> Object:
    """A stored object as this version shows it: pruned and defaulted by the present schema."""
    if not schema.node.check(obj):
        obj = schema.node.decode(obj, "", Decoding())
    filled: Object = schema.fill(obj) if schema.fill is not None else obj
    return filled


def _scale(declared: Mapping[str, Any] | None) -> ScalePaths:
    if declared is None:
        return ScalePaths()
    selector = declared.get("labelSelectorPath")
    return ScalePaths(
        tuple(field_names(declared["specReplicasPath"])),
        tuple(field_names(declared["statusReplicasPath"])),
        tuple(field_names(selector)) if selector else (),
    )


def _strategy(
    spec: Mapping[str, Any], version: Mapping[str, Any], schema: CustomSchema, *, with_status: bool
) -> Strategy:
    columns, row = columns_of(version.get("additionalPrinterColumns"))
    namespaced = spec["scope"] == "Namespaced"
    hooks = _Hooks(schema, namespaced=namespaced, with_status=with_status)
    paths = {
        one["jsonPath"].removeprefix("."): compile_path(one["jsonPath"]) for one in version.get("selectableFields", ())
    }
    return Strategy(
        default=hooks.default,
        prepare_create=hooks.prepare_create,
        prepare_update=hooks.prepare_update,
        validate=hooks.validate,
        validate_update=hooks.validate_update,
        prepare_status_update=hooks.prepare_status_update,
        validate_status_update=schema.errors,
        fields=lambda obj: {name: _field_text(find(obj)) for name, find in paths.items()},
        columns=columns,
        row=row,
    )


class _Hooks:
    """The strategy of one version, after upstream's customResourceStrategy."""

    def __init__(self, schema: CustomSchema, *, namespaced: bool, with_status: bool) -> None:
        self._schema = schema
        self._namespaced = namespaced
        self._with_status = with_status

    def default(self, obj: Object) -> None:
        if self._schema.fill is not None:
            obj.update(self._schema.fill(obj))

    def prepare_create(self, obj: Object) -> None:
        if self._with_status:
            obj.pop("status", None)
        obj["metadata"]["generation"] = 1

    def prepare_update(self, new: Object, old: Object) -> None:
        if self._with_status:
            meta.restore(new, old, "status")
        ignored = ("metadata", "apiVersion", "kind")
        meta.bump_generation(new, old, *(name for name in new.keys() | old.keys() if name not in ignored))

    def prepare_status_update(self, new: Object, old: Object) -> None:
        managed = new["metadata"].get("managedFields")
        version = new["metadata"].get("resourceVersion")
        status = new.get("status")
        for name in list(new):
            if name not in ("apiVersion", "kind"):
                del new[name]
        new.update({name: value for name, value in old.items() if name not in ("status", "apiVersion", "kind")})
        new["metadata"] = {**old["metadata"], "resourceVersion": version}
        if managed is not None:
            new["metadata"]["managedFields"] = managed
        if status is not None:
            new["status"] = status

    def validate(self, obj: Object) -> list[FieldError]:
        errors = meta.validate(obj, names.dns1123_subdomain, namespaced=self._namespaced)
        return errors + self._schema.errors(obj)

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        return meta.validate_update(new, old) + self._schema.errors(new, old)


def _fresh(errors: Errors, new: Object, old: Object) -> Errors:
    """The errors that this update has to do with: what was wrong before and stays as it was may stay."""
    return [error for error in errors if _value_at(new, error.field) != _value_at(old, error.field)]


def _value_at(obj: Object, path: str) -> Any:
    """What a field error is about: its value, or where that is missing what it is missing from."""
    value: Any = obj
    for part in path.replace("[", ".[").split("."):
        name = part[1:-1] if part.startswith("[") else part
        if isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return value
    return value


def _field_text(found: list[Any]) -> str:
    if not found:
        return ""
    value = found[0]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
