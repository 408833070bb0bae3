"""Asking a stage's checks of the cluster, and saying what is not so yet."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netsim.errors import NetsimError
from workbench.cli.errors import UserError
from workbench.labs.checks import condition
from workbench.labs.definition import Check, Finding
from workbench.labs.ground import Ground, Unmet
from workbench.labs.values import Look, fill
from workbench.places import NoSuchPlace

_POLL_SECONDS = 0.1


def judge(
    checks: Sequence[Check],
    ground: Ground,
    answers: Mapping[str, str],
    *,
    looking: Callable[[], Look],
    patience: float = 0.0,
) -> list[Finding]:
    """A finding for each check. What fails, and is no matter of answers, is asked again for `patience` seconds."""
    deadline = time.monotonic() + patience
    findings = [_finding(check, ground, answers, looking()) for check in checks]
    while time.monotonic() < deadline:
        again = [index for index, each in enumerate(findings) if not each.passed and not checks[index].question]
        if not again:
            break
        time.sleep(_POLL_SECONDS)
        for index in again:
            findings[index] = _finding(checks[index], ground, answers, looking())
    return findings


def _finding(check: Check, ground: Ground, answers: Mapping[str, str], look: Look) -> Finding:
    finding = Finding(check.name, fill(check.says, look))
    try:
        for kind, document in check.conditions:
            told = _with_answer(document, answers, look) if kind == "answer" else fill(document, look)
            condition(kind, told, check.name).require(ground)
    except (Unmet, NoSuchPlace, NetsimError, subprocess.SubprocessError, UserError) as error:
        finding.missing = str(error)
    return finding


def _with_answer(document: Mapping[str, Any], answers: Mapping[str, str], look: Look) -> dict[str, Any]:
    """What is right is only asked of the cluster once there is an answer."""
    given = answers.get(document["name"], "")
    told: dict[str, Any] = fill({**document, "equals": document["equals"] if given else ""}, look)
    return {**told, "given": given}
