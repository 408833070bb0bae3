"""What `netsim lab finish` hands in, and how `grade` knows that nobody wrote on it since.

The signature is an HMAC over everything else. Its key is made of the lab's files, the seed and, where a course has one,
the course's key. Without such a key it keeps honest people from mistakes, not who reads this file from forging.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

from workbench.labs.definition import Lab
from workbench.labs.progress import Progress, StageProgress

KIND = "netsim.io/lab-result/v1"
SIGNATURE = "signature"
_HINT_COST, _MOST_HINTS_COST = 0.1, 0.5
Document = dict[str, Any]


def result_of(lab: Lab, progress: Progress, key: str = "") -> Document:
    """The signed document."""
    document: Document = {
        "kind": KIND,
        "lab": progress.lab,
        "digest": progress.digest,
        "seed": progress.seed,
        "student": progress.student,
        "cluster": progress.cluster,
        "started": _moment(progress.started),
        "finished": _moment(time.time()),
        "stages": [_stage(stage.name, each) for stage, each in zip(lab.stages, progress.stages, strict=True)],
    }
    return document | {SIGNATURE: _signature(document, key)}


def is_signed(document: Document, key: str = "") -> bool:
    """Whether it is as it was written, with this key."""
    rest = {name: value for name, value in document.items() if name != SIGNATURE}
    return hmac.compare_digest(str(document.get(SIGNATURE, "")).encode(), _signature(rest, key).encode())


def score(stage: Document) -> float:
    """Of 1: nothing unless passed on one's own; each hint costs a tenth, all together a half at most."""
    if not stage["passed"] or stage["solution"]:
        return 0.0
    return 1 - min(int(stage["hints"]) * _HINT_COST, _MOST_HINTS_COST)


def _stage(name: str, progress: StageProgress) -> Document:
    return {
        "name": name,
        "passed": bool(progress.passed),
        "seconds": round(progress.passed - progress.begun, 1) if progress.passed else None,
        "tries": progress.tries,
        "hints": progress.hints,
        "solution": progress.solution,
        "answers": progress.answers,
        "checks": progress.checks,
    }


def _signature(document: Document, key: str) -> str:
    secret = hashlib.sha256(f"netsim lab\0{document.get('digest')}\0{document.get('seed')}\0{key}".encode()).digest()
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(secret, content, hashlib.sha256).hexdigest()


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
