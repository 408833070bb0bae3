"""What kinds with a selector and a pod template have in common."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, forbidden, invalid, not_supported, required
from controlplane.api.rules.podspec import default_template, validate_template
from controlplane.api.selectors import compile_selector, validate_selector
from controlplane.api.types import Object

Fields = dict[str, Any]


def default_workload(obj: Object) -> None:
    """Fills in replicas and what the template does not say."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    default_template(spec.setdefault("template", {}))


def prepare_create(obj: Object) -> None:
    """A new object has no status, and is of generation 1."""
    obj["metadata"]["generation"] = 1
    obj["status"] = {}


def prepare_update(new: Object, old: Object) -> None:
    """The main resource leaves the status as it is."""
    meta.restore(new, old, "status")
    meta.bump_generation(new, old, "spec")


def prepare_status_update(new: Object, old: Object) -> None:
    """/status leaves the spec as it is."""
    meta.restore(new, old, "spec")
    if "labels" in old["metadata"]:
        new["metadata"]["labels"] = old["metadata"]["labels"]


def validate_selector_given(spec: Fields, kind: str) -> list[FieldError]:
    """Every error in `spec.selector`, which must be there and say something."""
    selector = spec.get("selector")
    if selector is None:
        return [required("spec.selector")]
    errors = validate_selector(selector, "spec.selector")
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        errors.append(invalid("spec.selector", selector, f"empty selector is invalid for {kind}"))
    return errors


def validate_template_for(spec: Fields, kind: str) -> list[FieldError]:
    """Every error in `spec.template` of something that keeps pods running; `kind` as messages name it."""
    selector, template = spec.get("selector"), spec["template"]
    if selector and validate_selector(selector, "spec.selector"):
        return [invalid("spec.selector", selector, "invalid label selector")]
    errors: list[FieldError] = []
    labels = template["metadata"].get("labels", {})
    if not compile_selector(selector)(labels):
        text = "`selector` does not match template `labels`"
        errors.append(invalid("spec.template.metadata.labels", labels or None, text))
    errors += validate_template(template, "spec.template")
    policy = template["spec"]["restartPolicy"]
    if policy != "Always":
        errors.append(not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if template["spec"].get("activeDeadlineSeconds") is not None:
        text = f"activeDeadlineSeconds in {kind} is not Supported"
        errors.append(forbidden("spec.template.spec.activeDeadlineSeconds", text))
    return errors


def validate_same_selector(new: Object, old: Object) -> list[FieldError]:
    """The selector of a workload never changes."""
    if new["spec"].get("selector") == old["spec"].get("selector"):
        return []
    return [invalid("spec.selector", new["spec"].get("selector"), IMMUTABLE)]
