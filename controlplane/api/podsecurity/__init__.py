"""The Pod Security Standards: which checks each level makes, and what a pod spec gets wrong.

Checks, their order and their words are those of k8s.io/pod-security-admission. A check that a
stricter level makes in its own way replaces the looser level's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.api.podsecurity import baseline, restricted
from controlplane.api.podsecurity.checks import Check, Violation

PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
LEVELS = (PRIVILEGED, BASELINE, RESTRICTED)

_REPLACED = (baseline.capabilities, baseline.host_path_volumes, baseline.seccomp_profile)
_CHECKS: dict[str, tuple[Check, ...]] = {
    PRIVILEGED: (),
    BASELINE: baseline.CHECKS,
    RESTRICTED: (*(check for check in baseline.CHECKS if check not in _REPLACED), *restricted.CHECKS),
}


def violations(level: str, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Violation]:
    """What a pod of this metadata and spec does that `level` forbids, in upstream's order."""
    found = (check(metadata, spec) for check in _CHECKS[level])
    return [one for one in found if one is not None]


def sentence(found: list[Violation]) -> str:
    """The violations as one text: "hostPort (container "web" uses hostPort 80), privileged (...)"."""
    return ", ".join(f"{one.reason} ({one.detail})" if one.detail else one.reason for one in found)


__all__ = ["BASELINE", "LEVELS", "PRIVILEGED", "RESTRICTED", "Violation", "sentence", "violations"]
