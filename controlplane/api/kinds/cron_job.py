"""CronJobs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from controlplane.api import meta, names
from controlplane.api.cron import CronError, parse_schedule, zone_named
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, not_supported, required
from controlplane.api.printing import batch
from controlplane.api.rules import workload
from controlplane.api.rules.job import default_job_spec, validate_job_spec
from controlplane.api.rules.numbers import non_negative
from controlplane.api.rules.podspec import default_template
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import job_template_warnings

LONGEST_NAME = 52
"""A Job's name is the CronJob's with eleven characters more, and has to be a label value."""

POLICIES = ("Allow", "Forbid", "Replace")


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    job = spec.setdefault("jobTemplate", {}).setdefault("spec", {})
    default_template(job.setdefault("template", {}))


def _validate_spec(spec: Mapping[str, Any]) -> list[FieldError]:
    errors: list[FieldError] = []
    if not spec.get("schedule"):
        errors.append(required("spec.schedule"))
    else:
        errors += _validate_schedule(spec["schedule"])
    errors += non_negative(dict(spec), "spec", "startingDeadlineSeconds")
    if spec.get("timeZone") is not None:
        errors += _validate_zone(spec["timeZone"])
    if spec["concurrencyPolicy"] not in POLICIES:
        errors.append(not_supported("spec.concurrencyPolicy", spec["concurrencyPolicy"], POLICIES))
    errors += _validate_job(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec")
    return errors + non_negative(dict(spec), "spec", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")


def _validate_schedule(schedule: str) -> list[FieldError]:
    if "TZ" in schedule:
        text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        return [invalid("spec.schedule", schedule, text)]
    try:
        parse_schedule(schedule)
    except CronError as error:
        return [invalid("spec.schedule", schedule, str(error))]
    return []


def _validate_zone(zone: str) -> list[FieldError]:
    if not zone:
        return [invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")]
    if zone.lower() == "local":
        text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        return [invalid("spec.timeZone", zone, text)]
    return [] if zone_named(zone) else [invalid("spec.timeZone", zone, f"unknown time zone {zone}")]


def _validate_job(job: Mapping[str, Any], path: str) -> list[FieldError]:
    """The Job's defaults are the Job's own and not stored here, so it is judged on a copy that has them."""
    whole = dict(job)
    if "podFailurePolicy" in whole:
        whole["podFailurePolicy"] = copy.deepcopy(whole["podFailurePolicy"])
    default_job_spec(whole)
    errors = validate_job_spec(whole, path)
    if job.get("selector") is not None:
        errors.append(invalid(f"{path}.selector", job["selector"], "`selector` will be auto-generated"))
    if job.get("manualSelector"):
        errors.append(not_supported(f"{path}.manualSelector", True, ("nil", "false")))
    return errors


def _validate(obj: Object) -> list[FieldError]:
    errors = meta.validate(obj, names.dns1123_subdomain) + _validate_spec(obj["spec"])
    name = obj["metadata"].get("name", "")
    if len(name) > LONGEST_NAME:
        errors.append(invalid("metadata.name", name, f"must be no more than {LONGEST_NAME} characters"))
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    return errors if new["spec"] == old["spec"] else errors + _validate_spec(new["spec"])


CRON_JOB = Kind(
    group="batch",
    version="v1",
    name="CronJob",
    plural="cronjobs",
    definition="io.k8s.api.batch.v1.CronJob",
    short_names=("cj",),
    categories=("all",),
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=workload.prepare_create,
        prepare_update=workload.prepare_update,
        prepare_status_update=workload.prepare_status_update,
        validate=_validate,
        validate_update=_validate_update,
        warnings=job_template_warnings,
        columns=batch.CRON_JOB_COLUMNS,
        row=batch.cron_job_row,
    ),
)
