"""Rules of roles and bindings: what a policy rule, a role reference and a subject may look like.

Wording and order follow upstream's pkg/apis/rbac/validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, invalid_each, not_supported, required
from controlplane.api.types import Object

Fields = Mapping[str, Any]

GROUP = "rbac.authorization.k8s.io"
SUBJECT_KINDS = ("ServiceAccount", "User", "Group")

MIXED = "rules cannot apply to both regular resources and non-resource URLs"
NAMESPACED_URLS = "namespaced rules cannot apply to non-resource URLs"


def rbac_name(name: str) -> list[str]:
    """Names of roles and bindings: one segment of a path, with colons and capitals as one likes."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{part}'" for part in "/%" if part in name]


def validate_rules(obj: Object, *, namespaced: bool) -> list[FieldError]:
    """Every error in the rules of a role."""
    errors: list[FieldError] = []
    for index, rule in enumerate(obj.get("rules", ())):
        errors += _validate_rule(rule, f"rules[{index}]", namespaced)
    return errors


def _validate_rule(rule: Fields, path: str, namespaced: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if not rule.get("verbs"):
        errors.append(required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs")
    if urls:
        if namespaced:
            errors.append(invalid(f"{path}.nonResourceURLs", urls, NAMESPACED_URLS))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            errors.append(invalid(f"{path}.nonResourceURLs", urls, MIXED))
        return errors
    if not rule.get("apiGroups"):
        errors.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        errors.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    return errors


def default_binding(obj: Object) -> None:
    """Fills in the API groups of the role reference and the subjects."""
    reference = obj.setdefault("roleRef", {})
    reference["apiGroup"] = reference.get("apiGroup") or GROUP
    for subject in obj.get("subjects", ()):
        if subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = subject.get("apiGroup") or GROUP


def validate_binding(obj: Object, *, namespaced: bool) -> list[FieldError]:
    """Every error in a binding about to be created."""
    return meta.validate(obj, rbac_name, namespaced=namespaced) + _validate_body(obj, namespaced)


def validate_binding_update(new: Object, old: Object, *, namespaced: bool) -> list[FieldError]:
    """Every error in a binding about to replace `old`: its role reference never changes."""
    errors = meta.validate_update(new, old) + _validate_body(new, namespaced)
    if new["roleRef"] != old["roleRef"]:
        errors.append(invalid("roleRef", new["roleRef"], "cannot change roleRef"))
    return errors


def _validate_body(obj: Object, namespaced: bool) -> list[FieldError]:
    reference = obj["roleRef"]
    errors: list[FieldError] = []
    if reference["apiGroup"] != GROUP:
        errors.append(not_supported("roleRef.apiGroup", reference["apiGroup"], (GROUP,)))
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if reference.get("kind", "") not in kinds:
        errors.append(not_supported("roleRef.kind", reference.get("kind", ""), kinds))
    name = reference.get("name", "")
    if not name:
        errors.append(required("roleRef.name"))
    else:
        errors += invalid_each("roleRef.name", name, rbac_name(name))
    for index, subject in enumerate(obj.get("subjects", ())):
        errors += _validate_subject(subject, f"subjects[{index}]", namespaced)
    return errors


def _validate_subject(subject: Fields, path: str, namespaced: bool) -> list[FieldError]:
    name, kind, group = subject.get("name", ""), subject.get("kind", ""), subject.get("apiGroup", "")
    errors = [] if name else [required(f"{path}.name")]
    if kind == "ServiceAccount":
        if name:
            errors += invalid_each(f"{path}.name", name, names.dns1123_subdomain(name))
        if group:
            errors.append(not_supported(f"{path}.apiGroup", group, ("",)))
        if not namespaced and not subject.get("namespace"):
            errors.append(required(f"{path}.namespace"))
    elif kind not in SUBJECT_KINDS:
        errors.append(not_supported(f"{path}.kind", kind, SUBJECT_KINDS))
    else:
        if not name:
            errors.append(invalid(f"{path}.name", name, f"{kind.lower()} name cannot be empty"))
        if group != GROUP:
            errors.append(not_supported(f"{path}.apiGroup", group, (GROUP,)))
    return errors
