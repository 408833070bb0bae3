"""Query parameters, and the DeleteOptions body, as the registry's options; BadRequest for what is malformed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from controlplane.api.errors import BadRequest, FieldError, Invalid
from controlplane.api.field import forbidden, invalid, not_supported, required, too_long
from controlplane.api.patch import PatchType
from controlplane.server.requests import DeleteOptions, FieldValidation, ListOptions, Propagation, User, WriteOptions

Query = Mapping[str, str]

MANAGER_BOUND = 128
"""Bytes of a field manager's name."""

MATCH = "resourceVersionMatch"
CONTINUED = "resourceVersionMatch is forbidden when continue is provided"


def write_options(
    query: Query, user: User, warn: Callable[[str], None], *, patch_type: PatchType | None = None
) -> WriteOptions:
    """Options of create and update, or, with `patch_type`, of a patch of that type."""
    validation = query.get("fieldValidation") or "Warn"
    _check_manager(query, patch_type)
    if validation not in ("Strict", "Warn", "Ignore"):
        text = f'Unsupported value: "{validation}": supported values: "", "Ignore", "Strict", "Warn"'
        raise _invalid("CreateOptions", FieldError("FieldValueNotSupported", "fieldValidation", text))
    return WriteOptions(
        user=user,
        dry_run=_dry_run(query.get("dryRun", "")),
        field_manager=query.get("fieldManager", ""),
        field_validation=cast(FieldValidation, validation),
        force=flag(query, "force"),
        warn=warn,
    )


def delete_options(query: Query, body: Any, user: User) -> DeleteOptions:
    """Options of delete: from the body when there is one, else from the query."""
    body = {} if body is None else body
    if not isinstance(body, dict):
        raise BadRequest("the body of a delete is a DeleteOptions object")
    preconditions = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds", optional_integer(query, "gracePeriodSeconds"))
    if grace is not None and not isinstance(grace, int):
        raise BadRequest("gracePeriodSeconds: must be an integer")
    if not isinstance(preconditions, dict):
        raise BadRequest("preconditions: must be an object")
    dry_run = body.get("dryRun") or [query.get("dryRun", "")]
    return DeleteOptions(
        user=user,
        dry_run=_dry_run(dry_run[0] if isinstance(dry_run, list) and dry_run else ""),
        grace_period_seconds=grace,
        propagation_policy=_propagation(body, query),
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
    )


def list_options(query: Query, name: str = "", *, watch: bool = False) -> ListOptions:
    """What a list or a watch selects; `name` narrows it to one object, as in a watch of one.

    Invalid where the options contradict each other, as upstream's ValidateListOptions.
    """
    if "resourceVersionMatch" in query or "sendInitialEvents" in query:
        errors = _watch_errors(query) if watch else _list_errors(query)
        if errors:
            raise Invalid.of("meta.k8s.io", "ListOptions", "", errors)
    fields = query.get("fieldSelector", "")
    if name:
        fields = f"metadata.name={name}" + (f",{fields}" if fields else "")
    return ListOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=fields,
        limit=optional_integer(query, "limit") or 0,
        continue_token=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        resource_version_match=query.get("resourceVersionMatch", ""),
    )


def _list_errors(query: Query) -> list[FieldError]:
    match, version = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    errors: list[FieldError] = []
    if match:
        if not version:
            errors.append(forbidden(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if query.get("continue"):
            errors.append(forbidden(MATCH, CONTINUED))
        if match not in ("Exact", "NotOlderThan"):
            errors.append(not_supported(MATCH, match, ("Exact", "NotOlderThan", "")))
        if match == "Exact" and version == "0":
            errors.append(forbidden(MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if "sendInitialEvents" in query:
        errors.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return errors


def _watch_errors(query: Query) -> list[FieldError]:
    match, initial = query.get("resourceVersionMatch", ""), "sendInitialEvents" in query
    errors: list[FieldError] = []
    if initial and match != "NotOlderThan":
        errors.append(forbidden(MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
    if match:
        if not initial:
            text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            errors.append(forbidden(MATCH, text))
        if match != "NotOlderThan":
            errors.append(not_supported(MATCH, match, ("NotOlderThan",)))
        if query.get("continue"):
            errors.append(forbidden(MATCH, CONTINUED))
    return errors


def flag(query: Query, name: str) -> bool:
    """A boolean parameter as Go reads it: present and not "0" or "false"."""
    return query.get(name, "false").lower() not in ("0", "false", "f")


def integer(query: Query, name: str, default: int) -> int:
    """An integer parameter."""
    found = optional_integer(query, name)
    return default if found is None else found


def optional_integer(query: Query, name: str) -> int | None:
    """An integer parameter that may be absent."""
    text = query.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise BadRequest(f'{name}: strconv.ParseInt: parsing "{text}": invalid syntax') from error


def _check_manager(query: Query, patch_type: PatchType | None) -> None:
    manager, kind = query.get("fieldManager", ""), "PatchOptions" if patch_type else "CreateOptions"
    errors = []
    if patch_type == "apply" and not manager:
        errors.append(required("fieldManager", "is required for apply patch"))
    if patch_type != "apply" and "force" in query:
        errors.append(forbidden("force", "may not be specified for non-apply patch"))
    if len(manager.encode()) > MANAGER_BOUND:
        errors.append(too_long("fieldManager", MANAGER_BOUND))
    if not manager.isprintable():
        errors.append(invalid("fieldManager", manager, "should only contain printable characters"))
    if errors:
        raise Invalid.of("meta.k8s.io", kind, "", errors)


def _dry_run(text: Any) -> bool:
    if text in ("", "All"):
        return bool(text == "All")
    body = f'Unsupported value: ["{text}"]: supported values: "All"'
    raise _invalid("CreateOptions", FieldError("FieldValueNotSupported", "dryRun", body))


def _propagation(body: Mapping[str, Any], query: Query) -> Propagation | None:
    policy = body.get("propagationPolicy") or query.get("propagationPolicy")
    if policy is None:
        orphan = body.get("orphanDependents")
        return None if orphan is None else "Orphan" if orphan else "Background"
    if policy not in ("Orphan", "Background", "Foreground"):
        text = f'Unsupported value: "{policy}": supported values: "Background", "Foreground", "Orphan"'
        raise _invalid("DeleteOptions", FieldError("FieldValueNotSupported", "propagationPolicy", text))
    return cast(Propagation, policy)


def _invalid(kind: str, error: FieldError) -> Invalid:
    return Invalid.of("meta.k8s.io", kind, "", [error])
