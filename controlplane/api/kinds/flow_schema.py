"""FlowSchemas."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, invalid_each, not_supported, required
from controlplane.api.printing import extensions
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings

Fields = dict[str, Any]

DEFAULT_PRECEDENCE, HIGHEST_PRECEDENCE = 1000, 10000
METHODS = ("ByNamespace", "ByUser")
SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}


def _default(obj: Object) -> None:
    obj.setdefault("spec", {}).setdefault("matchingPrecedence", DEFAULT_PRECEDENCE)


def _rules(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    precedence = spec["matchingPrecedence"]
    if precedence <= 0:
        errors.append(invalid("spec.matchingPrecedence", precedence, "must be a positive value"))
    if precedence > HIGHEST_PRECEDENCE:
        text = f"must not be greater than {HIGHEST_PRECEDENCE}"
        errors.append(invalid("spec.matchingPrecedence", precedence, text))
    if precedence == 1 and obj["metadata"].get("name") != "exempt":
        text = "only the schema named 'exempt' may have matchingPrecedence 1"
        errors.append(invalid("spec.matchingPrecedence", precedence, text))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in METHODS:
        errors.append(not_supported("spec.distinguisherMethod.type", method.get("type", ""), METHODS))
    level = spec.get("priorityLevelConfiguration", {}).get("name", "")
    place = "spec.priorityLevelConfiguration.name"
    if not level:
        errors.append(required(place, "must reference a priority level"))
    else:
        errors += invalid_each(place, level, names.dns1123_subdomain(level))
    for index, rule in enumerate(spec.get("rules", ())):
        errors += _validate_rule(rule, f"spec.rules[{index}]")
    return errors


def _validate_rule(rule: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not rule.get("subjects"):
        errors.append(required(f"{path}.subjects", "subjects must contain at least one value"))
    for index, subject in enumerate(rule.get("subjects", ())):
        errors += _validate_subject(subject, f"{path}.subjects[{index}]")
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        text = "at least one of resourceRules and nonResourceRules has to be non-empty"
        errors.append(required(path, text))
    for name, fields in (
        ("resourceRules", ("verbs", "apiGroups", "resources")),
        ("nonResourceRules", ("verbs", "nonResourceURLs")),
    ):
        for index, one in enumerate(rule.get(name, ())):
            errors += [required(f"{path}.{name}[{index}].{field}") for field in fields if not one.get(field)]
    return errors


def _validate_subject(subject: Fields, path: str) -> list[FieldError]:
    kind = subject.get("kind", "")
    wanted = SUBJECTS.get(kind)
    if wanted is None:
        return [not_supported(f"{path}.kind", kind, sorted(SUBJECTS))]
    errors = [
        invalid(f"{path}.{name}", subject[name], f"{name} is forbidden when subject kind is not '{other}'")
        for other, name in SUBJECTS.items()
        if name in subject and other != kind
    ]
    if wanted not in subject:
        errors.append(required(f"{path}.{wanted}", f"{wanted} is required when subject kind is '{kind}'"))
    elif not subject[wanted].get("name"):
        errors.append(required(f"{path}.{wanted}.name"))
    return errors


FLOW_SCHEMA = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    name="FlowSchema",
    plural="flowschemas",
    definition="io.k8s.api.flowcontrol.v1.FlowSchema",
    namespaced=False,
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=lifecycle.new_spec,
        prepare_update=lifecycle.update_spec,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=lambda new, old: meta.validate_update(new, old) + _rules(new),
        warnings=kind_warnings,
        columns=extensions.FLOW_SCHEMA_COLUMNS,
        row=extensions.flow_schema_row,
    ),
)
