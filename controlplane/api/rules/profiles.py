"""Seccomp and AppArmor profiles of pods and containers: which there are, and what each has to say.

A node reads the file that a local profile names, so the name must not lead out of the node's directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, not_supported, required, too_long
from controlplane.api.rules.paths import descending_path

LOCALHOST = "Localhost"
TYPES = (LOCALHOST, "RuntimeDefault", "Unconfined")
LONGEST_NAME = 4095
"""Of an AppArmor profile."""


def validate_profiles(context: Mapping[str, Any], path: str) -> list[FieldError]:
    """Every error in the profiles of a securityContext."""
    errors: list[FieldError] = []
    seccomp, apparmor = context.get("seccompProfile"), context.get("appArmorProfile")
    if seccomp is not None:
        errors += _validate(seccomp, f"{path}.seccompProfile", "seccomp")
        if seccomp.get("type") == LOCALHOST and seccomp.get("localhostProfile"):
            errors += descending_path(seccomp["localhostProfile"], f"{path}.seccompProfile.localhostProfile")
    if apparmor is not None:
        errors += _validate(apparmor, f"{path}.appArmorProfile", "AppArmor")
        if len(apparmor.get("localhostProfile", "").encode()) > LONGEST_NAME:
            errors.append(too_long(f"{path}.appArmorProfile.localhostProfile", LONGEST_NAME))
    return errors


def _validate(profile: Mapping[str, Any], path: str, what: str) -> list[FieldError]:
    kind, name = profile.get("type", ""), profile.get("localhostProfile")
    if not kind:
        return [required(f"{path}.type", f"type is required when {path.rpartition('.')[2]} is set")]
    if kind not in TYPES:
        return [not_supported(f"{path}.type", kind, TYPES)]
    if kind == LOCALHOST and not (name or "").strip():
        return [required(f"{path}.localhostProfile", f"must be set when {what} type is Localhost")]
    if kind != LOCALHOST and name is not None:
        return [invalid(f"{path}.localhostProfile", name, f"can only be set when {what} type is Localhost")]
    return []
