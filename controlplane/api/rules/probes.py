"""Probes and lifecycle handlers: defaults and validation."""

from __future__ import annotations

from typing import Any

from controlplane.api import names
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, invalid_each, not_supported, required
from controlplane.api.rules.numbers import non_negative, port_or_name

Fields = dict[str, Any]

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_DEFAULTS = (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3))


def default_probe(probe: Fields) -> None:
    """Fills in the thresholds and times, and those of the handler."""
    for name, value in _PROBE_DEFAULTS:
        if not probe.get(name):
            probe[name] = value
    default_handler(probe)
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def default_handler(handler: Fields) -> None:
    """Fills in path and scheme of an HTTP request."""
    request = handler.get("httpGet")
    if request is not None:
        if not request.get("path"):
            request["path"] = "/"
        if not request.get("scheme"):
            request["scheme"] = "HTTP"


def validate_probes(container: Fields, path: str, grace: int) -> list[FieldError]:
    """Every error in the lifecycle handlers and the three probes of a container; `grace` is the pod's, in seconds."""
    errors: list[FieldError] = []
    lifecycle = container.get("lifecycle")
    if lifecycle is not None:
        for name in ("postStart", "preStop"):
            if name in lifecycle:
                errors += _validate_handler(lifecycle[name], f"{path}.lifecycle.{name}", grace)
    for name in PROBES:
        probe = container.get(name)
        if probe is not None:
            errors += _validate_probe(probe, f"{path}.{name}", grace, once=name != "readinessProbe")
    return errors


def _validate_probe(probe: Fields, path: str, grace: int, *, once: bool) -> list[FieldError]:
    """`once`: one success must be enough, as it is for liveness and startup."""
    errors = _validate_handler(probe, path, grace)
    errors += non_negative(
        probe, path, "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"
    )
    own = probe.get("terminationGracePeriodSeconds")
    if own is not None and own <= 0:
        errors.append(invalid(f"{path}.terminationGracePeriodSeconds", own, "must be greater than 0"))
    if own is not None and not once:
        errors.append(invalid(f"{path}.terminationGracePeriodSeconds", own, "must not be set for readinessProbes"))
    if once and probe.get("successThreshold") != 1:
        errors.append(invalid(f"{path}.successThreshold", probe.get("successThreshold", 0), "must be 1"))
    return errors


def _validate_handler(handler: Fields, path: str, grace: int) -> list[FieldError]:
    errors: list[FieldError] = []
    found = 0
    for name, check in (("exec", _exec), ("httpGet", _http), ("tcpSocket", _tcp), ("grpc", _grpc)):
        if name not in handler:
            continue
        if found:
            errors.append(forbidden(f"{path}.{name}", "may not specify more than 1 handler type"))
        else:
            found += 1
            errors += check(handler[name], f"{path}.{name}")
    if "sleep" in handler:
        if found:
            errors.append(forbidden(f"{path}.sleep", "may not specify more than 1 handler type"))
        else:
            found += 1
            errors += _sleep(handler["sleep"], f"{path}.sleep", grace)
    if not found:
        errors.append(required(path, "must specify a handler type"))
    return errors


def _exec(action: Fields, path: str) -> list[FieldError]:
    return [] if action.get("command") else [required(f"{path}.command")]


def _http(action: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not action.get("path"):
        errors.append(required(f"{path}.path"))
    errors += port_or_name(action.get("port", 0), f"{path}.port")
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        errors.append(not_supported(f"{path}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS")))
    for header in action.get("httpHeaders", ()):
        errors += invalid_each(f"{path}.httpHeaders", header.get("name", ""), names.http_header(header.get("name", "")))
    return errors


def _tcp(action: Fields, path: str) -> list[FieldError]:
    return port_or_name(action.get("port", 0), f"{path}.port")


def _grpc(action: Fields, path: str) -> list[FieldError]:
    return port_or_name(action.get("port", 0), f"{path}.port")


def _sleep(action: Fields, path: str, grace: int) -> list[FieldError]:
    seconds = action.get("seconds", 0)
    text = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
    return [] if 0 <= seconds <= grace else [invalid(path, seconds, text)]
