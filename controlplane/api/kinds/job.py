"""Jobs: their selector is made from their uid, so that no two Jobs ever share a pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid, invalid_each, required
from controlplane.api.printing import batch
from controlplane.api.rules import workload
from controlplane.api.rules.job import default_job_spec, validate_job_spec
from controlplane.api.selectors import compile_selector, validate_selector
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import template_warnings

CONTROLLER_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
OLD_CONTROLLER_UID, OLD_JOB_NAME = "controller-uid", "job-name"

SCHEDULING = ("nodeSelector", "affinity", "tolerations", "schedulingGates")
"""Fields of the pod spec that may change while a Job is suspended and has not begun."""


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    default_job_spec(spec)
    labels = spec["template"]["metadata"].get("labels")
    metadata = obj.setdefault("metadata", {})
    if labels and not metadata.get("labels"):
        metadata["labels"] = dict(labels)


def _prepare_create(obj: Object) -> None:
    workload.prepare_create(obj)
    if obj["spec"].get("manualSelector"):
        return
    metadata, spec = obj["metadata"], obj["spec"]
    uid, name = metadata["uid"], metadata.get("name", "")
    generated = {CONTROLLER_UID: uid, JOB_NAME: name, OLD_CONTROLLER_UID: uid, OLD_JOB_NAME: name}
    template = spec["template"]["metadata"]
    template["labels"] = {**template.get("labels", {}), **generated}
    if not metadata.get("labels"):
        metadata["labels"] = dict(template["labels"])
    selector = spec.setdefault("selector", {})
    selector["matchLabels"] = {**selector.get("matchLabels", {}), CONTROLLER_UID: uid}


def _validate_spec(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors = validate_job_spec(spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        return [*errors, required("spec.selector")]
    wrong = validate_selector(selector, "spec.selector")
    labels = spec["template"]["metadata"].get("labels", {})
    if not wrong and not compile_selector(selector)(labels):
        text = "`selector` does not match template `labels`"
        wrong.append(invalid("spec.template.metadata.labels", labels or None, text))
    return errors + wrong


def _validate(obj: Object) -> list[FieldError]:
    errors = meta.validate(obj, names.dns1123_subdomain)
    spec, name = obj["spec"], obj["metadata"].get("name", "")
    selector = spec.get("selector")
    if selector and not spec.get("manualSelector"):
        own = {CONTROLLER_UID: obj["metadata"]["uid"], JOB_NAME: name}
        own |= {OLD_CONTROLLER_UID: obj["metadata"]["uid"], OLD_JOB_NAME: name}
        if not validate_selector(selector, "spec.selector") and not compile_selector(selector)(own):
            errors.append(invalid("spec.selector", selector, "`selector` not auto-generated"))
    errors += _validate_spec(obj)
    if spec["completionMode"] == "Indexed" and spec.get("completions", 0) > 0:
        hostname = f"{name}-{spec['completions'] - 1}"
        wrong = names.dns1123_label(hostname)
        text = "will not able to create pod with invalid DNS label: "
        errors += invalid_each("metadata.name", name, [f"{text}{hostname}"] if wrong else [])
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    spec, before = new["spec"], old["spec"]
    if spec == before:
        return errors
    errors += _validate_spec(new)
    if spec.get("completions") != before.get("completions") and not _is_elastic(spec, before):
        errors.append(invalid("spec.completions", spec.get("completions"), IMMUTABLE))
    if spec.get("selector") != before.get("selector"):
        errors.append(invalid("spec.selector", spec.get("selector"), IMMUTABLE))
    if _fixed(spec["template"], old) != _fixed(before["template"], old):
        errors.append(invalid("spec.template", spec["template"], IMMUTABLE))
    for name in ("completionMode", "podFailurePolicy", "managedBy"):
        if spec.get(name) != before.get(name):
            errors.append(invalid(f"spec.{name}", spec.get(name), IMMUTABLE))
    return errors


def _is_elastic(spec: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """An Indexed Job may change its completions together with its parallelism, and to the same number."""
    indexed = spec["completionMode"] == before["completionMode"] == "Indexed"
    return indexed and spec.get("completions") == spec["parallelism"] and "completions" in before


def _fixed(template: Mapping[str, Any], old: Object) -> dict[str, Any]:
    """What of a template never changes: all of it, unless the Job is suspended and has not begun."""
    if not old["spec"]["suspend"] or old.get("status", {}).get("startTime"):
        return dict(template)
    metadata = {key: value for key, value in template["metadata"].items() if key not in ("labels", "annotations")}
    return {"metadata": metadata, "spec": {k: v for k, v in template["spec"].items() if k not in SCHEDULING}}


def _fields(obj: Object) -> Mapping[str, str]:
    return {"status.successful": str(obj.get("status", {}).get("succeeded", 0))}


JOB = Kind(
    group="batch",
    version="v1",
    name="Job",
    plural="jobs",
    definition="io.k8s.api.batch.v1.Job",
    categories=("all",),
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=workload.prepare_update,
        prepare_status_update=workload.prepare_status_update,
        validate=_validate,
        validate_update=_validate_update,
        warnings=template_warnings,
        fields=_fields,
        columns=batch.JOB_COLUMNS,
        row=batch.job_row,
    ),
)
