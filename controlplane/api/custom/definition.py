"""The rules of CustomResourceDefinitions: defaults, checks, warnings.

What their schemas must be is in `structural`; which names are accepted is for the server, which sees
all definitions. Wording follows k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.api import meta, names
from controlplane.api.custom.jsonpath import BadPath, compile_path, field_names
from controlplane.api.custom.rules import rule_errors, unsupported_rules
from controlplane.api.custom.structural import schema_errors
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, forbidden, invalid, not_supported, required
from controlplane.api.types import Object

APPROVAL = "api-approved.kubernetes.io"
PROTECTED = ("k8s.io", "kubernetes.io")
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
SCOPES = ("Cluster", "Namespaced")
REVIEW_VERSION = "v1"


def default(crd: Object) -> None:
    """Fills in names that follow from the kind, the conversion strategy, and schemas that are left empty."""
    spec = crd.setdefault("spec", {})
    given = spec.setdefault("names", {})
    if given.get("kind"):
        given.setdefault("listKind", given["kind"] + "List")
        given.setdefault("singular", given["kind"].lower())
    conversion = spec.setdefault("conversion", {"strategy": "None"})
    service = conversion.get("webhook", {}).get("clientConfig", {}).get("service")
    if service is not None:
        service.setdefault("port", 443)
    if spec.get("preserveUnknownFields") is False:
        del spec["preserveUnknownFields"]
    for version in spec.get("versions", ()):
        _fill_empty(version.get("schema", {}).get("openAPIV3Schema"))


def _fill_empty(schema: Any) -> None:
    """Makes of a property with nothing behind it, as YAML may have it, the schema that says nothing."""
    if isinstance(schema, list):
        for inner in schema:
            _fill_empty(inner)
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    if isinstance(properties, dict):
        for name, inner in properties.items():
            if inner is None:
                properties[name] = {}
            _fill_empty(inner)
    for name, inner in schema.items():
        if name not in ("default", "enum", "example", "properties"):
            _fill_empty(inner)


def prepare_create(crd: Object) -> None:
    """A new definition has only its storage version stored."""
    crd["metadata"]["generation"] = 1
    crd["status"] = {"storedVersions": _storage_versions(crd)}


def prepare_update(new: Object, old: Object) -> None:
    """Keeps the status, and notes a new storage version in it."""
    meta.restore(new, old, "status")
    meta.bump_generation(new, old, "spec")
    stored = new.get("status", {}).get("storedVersions", [])
    missing = [name for name in _storage_versions(new) if name not in stored]
    if missing:
        new["status"] = new.get("status", {}) | {"storedVersions": [*stored, *missing]}


def validate(crd: Object) -> list[FieldError]:
    """Every error in a new definition."""
    spec = crd["spec"]
    wanted = f"{spec.get('names', {}).get('plural', '')}.{spec.get('group', '')}"

    def check_name(name: str) -> list[str]:
        wrong = names.dns1123_subdomain(name)
        return wrong if name == wanted else [*wrong, 'must be spec.names.plural+"."+spec.group']

    return [*meta.validate(crd, check_name, namespaced=False), *_spec_errors(crd)]


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Every error in a definition that is to replace `old`."""
    spec, before = new["spec"], old["spec"]
    errors = [*meta.validate_update(new, old), *_spec_errors(new)]
    if condition(old, "Established") == "True":
        errors += _immutable("spec.scope", spec.get("scope"), before.get("scope"))
        errors += _immutable("spec.names.kind", spec["names"].get("kind"), before["names"].get("kind"))
    errors += _immutable("spec.group", spec.get("group"), before.get("group"))
    errors += _immutable("spec.names.plural", spec["names"].get("plural"), before["names"].get("plural"))
    return errors + validate_status(new)


def validate_status(crd: Object) -> list[FieldError]:
    """Every error in `status.storedVersions`."""
    stored = crd.get("status", {}).get("storedVersions", [])
    path = "status.storedVersions"
    if not stored:
        return [invalid(path, stored, "must have at least one stored version")]
    errors = [
        invalid(path, stored, f"must have the storage version {name}")
        for name in _storage_versions(crd)
        if name not in stored
    ]
    versions = {version.get("name") for version in crd["spec"].get("versions", ())}
    for index, name in enumerate(stored):
        if name not in versions:
            errors.append(invalid(f"{path}[{index}]", name, "missing from spec.versions; " + STILL_STORED))
    return errors


def warnings(crd: Object) -> list[str]:
    """What is accepted and not done."""
    found: list[str] = []
    for index, version in enumerate(crd["spec"].get("versions", ())):
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        found += unsupported_rules(schema, f"spec.versions[{index}].schema.openAPIV3Schema")
    return found


STILL_STORED = (
    "v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data"
    " remains persisted in v1 and removes v1 from status.storedVersions"
)


def condition(crd: Object, kind: str) -> str:
    """The status of the condition `kind`, "" when it is not there."""
    found = (one.get("status", "") for one in crd.get("status", {}).get("conditions", ()) if one.get("type") == kind)
    return next(found, "")


def approval(crd: Object) -> tuple[str, str, str] | None:
    """Status, reason and message of KubernetesAPIApprovalPolicyConformant; None where no approval is needed."""
    if not _protected(crd["spec"].get("group", "")):
        return None
    value = crd["metadata"].get("annotations", {}).get(APPROVAL, "")
    if value.startswith("unapproved"):
        return "False", "UnapprovedAnnotation", f'not approved: "{value}"'
    if value.startswith(("https://", "http://")):
        return "True", "ApprovedAnnotation", f"approved in {value}"
    if not value:
        text = f'protected groups must have approval annotation "{APPROVAL}", see {APPROVAL_PAGE}'
        return "False", "MissingAnnotation", text
    return (
        "False",
        "InvalidAnnotation",
        f'protected groups must have approval annotation "{APPROVAL}" with either a URL',
    )


APPROVAL_PAGE = "https://github.com/kubernetes/enhancements/pull/1111"


def _protected(group: str) -> bool:
    return any(group == one or group.endswith(f".{one}") for one in PROTECTED)


def _storage_versions(crd: Object) -> list[str]:
    return [version.get("name", "") for version in crd["spec"].get("versions", ()) if version.get("storage")]


def _immutable(path: str, value: Any, before: Any) -> list[FieldError]:
    return [] if value == before else [invalid(path, value, IMMUTABLE)]


def _spec_errors(crd: Object) -> Iterator[FieldError]:
    spec = crd["spec"]
    yield from _approval_errors(crd)
    yield from _group_errors(spec.get("group", ""))
    if not spec.get("scope"):
        yield required("spec.scope")
    elif spec["scope"] not in SCOPES:
        yield not_supported("spec.scope", spec["scope"], SCOPES)
    if spec.get("preserveUnknownFields"):
        text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        yield invalid("spec.preserveUnknownFields", True, text)
    yield from _version_errors(spec)
    yield from _name_errors(spec["names"])
    yield from _conversion_errors(spec["conversion"])


def _approval_errors(crd: Object) -> Iterator[FieldError]:
    found = approval(crd)
    if found is not None and found[1] in ("MissingAnnotation", "InvalidAnnotation"):
        path = f"metadata.annotations[{APPROVAL}]"
        value = crd["metadata"].get("annotations", {}).get(APPROVAL, "")
        yield invalid(path, value, found[2]) if value else required(path, found[2])


def _group_errors(group: str) -> Iterator[FieldError]:
    if not group:
        yield required("spec.group")
        return
    wrong = names.dns1123_subdomain(group)
    if wrong:
        yield invalid("spec.group", group, ",".join(wrong))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")


def _version_errors(spec: Object) -> Iterator[FieldError]:
    versions = spec.get("versions", [])
    found = [version.get("name", "") for version in versions]
    if len(set(found)) < len(found):
        yield invalid("spec.versions", found, "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid("spec.versions", found, "must have exactly one version marked as storage version")
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        wrong = names.dns1035_label(version.get("name", ""))
        if wrong:
            yield invalid(f"{path}.name", version.get("name", ""), ",".join(wrong))
        if version.get("deprecationWarning") and not version.get("deprecated"):
            text = "can only be set for deprecated versions"
            yield invalid(f"{path}.deprecationWarning", version["deprecationWarning"], text)
        yield from _subresource_errors(version.get("subresources", {}), f"{path}.subresources")
        yield from _selectable_errors(version.get("selectableFields", ()), f"{path}.selectableFields")
    yield from _schemas(versions)
    yield from _columns(versions)


def _schemas(versions: list[Object]) -> Iterator[FieldError]:
    """A schema that all versions share is shown where it is in upstream's internal form."""
    schemas = [(version.get("schema") or {}).get("openAPIV3Schema") for version in versions]
    shared = bool(schemas) and all(one == schemas[0] for one in schemas)
    for index, schema in enumerate(schemas[:1] if shared else schemas):
        path = "spec.validation" if shared else f"spec.versions[{index}].schema"
        if schema is None:
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required")
        else:
            yield from schema_errors(schema, f"{path}.openAPIV3Schema")
            yield from rule_errors(schema, f"{path}.openAPIV3Schema")


def _columns(versions: list[Object]) -> Iterator[FieldError]:
    declared = [version.get("additionalPrinterColumns", []) for version in versions]
    shared = bool(declared) and all(one == declared[0] for one in declared)
    for index, columns in enumerate(declared[:1] if shared else declared):
        path = "spec" if shared else f"spec.versions[{index}]"
        for number, column in enumerate(columns):
            yield from _column_errors(column, f"{path}.additionalPrinterColumns[{number}]")


def _column_errors(column: Object, path: str) -> Iterator[FieldError]:
    if not column.get("name"):
        yield required(f"{path}.name")
    kind = column.get("type", "")
    text = f"must be one of {','.join(COLUMN_TYPES)}"
    if not kind:
        yield required(f"{path}.type", text)
    elif kind not in COLUMN_TYPES:
        yield invalid(f"{path}.type", kind, text)
    if column.get("format") and column["format"] not in COLUMN_FORMATS:
        yield invalid(f"{path}.format", column["format"], f"must be one of {','.join(COLUMN_FORMATS)}")
    place = column.get("jsonPath", "")
    if not place:
        yield required(f"{path}.jsonPath")
        return
    try:
        compile_path(place)
    except BadPath as error:
        yield invalid(f"{path}.jsonPath", place, f"is an invalid JSON path: {error}")


def _subresource_errors(subresources: Object, path: str) -> Iterator[FieldError]:
    scale = subresources.get("scale")
    if scale is None:
        return
    for name, root, needed in (
        ("specReplicasPath", ".spec.", True),
        ("statusReplicasPath", ".status.", True),
        ("labelSelectorPath", (".spec.", ".status."), False),
    ):
        place = scale.get(name, "")
        if not place:
            if needed:
                yield required(f"{path}.scale.{name}")
            continue
        try:
            field_names(place)
        except BadPath:
            yield invalid(f"{path}.scale.{name}", place, "should be a simple json path without any array notation")
            continue
        if not place.startswith(root):
            wanted = root if isinstance(root, str) else " or ".join(root)
            yield invalid(f"{path}.scale.{name}", place, f"should be a json path under {wanted.rstrip('.')}")


def _selectable_errors(fields: list[Object], path: str) -> Iterator[FieldError]:
    for index, field in enumerate(fields):
        place = field.get("jsonPath", "")
        try:
            if field_names(place)[0] == "metadata":
                yield invalid(f"{path}[{index}].jsonPath", place, "must not point to fields in metadata")
        except BadPath:
            yield invalid(f"{path}[{index}].jsonPath", place, "is an invalid path: does not have a leading field")


def _name_errors(given: Object) -> Iterator[FieldError]:
    for name in ("plural", "singular", "kind", "listKind"):
        value = given.get(name, "")
        if not value:
            yield required(f"spec.names.{name}")
            continue
        wrong = names.dns1035_label(value.lower() if name in ("kind", "listKind") else value)
        if wrong:
            mixed = "may have mixed case, but should otherwise match: " if name in ("kind", "listKind") else ""
            yield invalid(f"spec.names.{name}", value, mixed + ",".join(wrong))
    for name in ("shortNames", "categories"):
        for index, value in enumerate(given.get(name, ())):
            wrong = names.dns1035_label(value)
            if wrong:
                yield invalid(f"spec.names.{name}[{index}]", value, ",".join(wrong))
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        yield invalid("spec.names.listKind", given["listKind"], "kind and listKind may not be the same")


def _conversion_errors(conversion: Object) -> Iterator[FieldError]:
    strategy, webhook = conversion.get("strategy", ""), conversion.get("webhook")
    if not strategy:
        yield required("spec.conversion.strategy")
    elif strategy not in ("None", "Webhook"):
        yield not_supported("spec.conversion.strategy", strategy, ("None", "Webhook"))
    elif strategy == "Webhook" and webhook is None:
        yield required("spec.conversion.webhookClientConfig", "required when strategy is set to Webhook")
    elif strategy == "None" and webhook is not None:
        text = "should not be set when strategy is not set to Webhook"
        yield forbidden("spec.conversion.webhookClientConfig", text)
