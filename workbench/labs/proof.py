"""Proof that a lab works: each check fails where its stage begins, and passes once the solution is done.

Takes the lab from its first stage to its last on a cluster of its own, as `netsim lab test` and the tests do.
"""

from __future__ import annotations

from collections.abc import Iterator

from workbench.labs.definition import Lab
from workbench.labs.session import Session

_PATIENCE_SECONDS = 30.0


def prove(lab: Lab, seed: int, cluster: str) -> Iterator[tuple[str, list[str]]]:
    """For each stage its name and what is wrong with it, nothing if all is well; ends at the first that is wrong."""
    session = Session.start(lab, seed, cluster=cluster)
    try:
        while (stage := session.stage) is not None:
            wrong = [
                f"check {each.name} passes before anything was done" for each in session.judged(stage) if each.passed
            ]
            if not wrong:
                wrong = _solved(session)
            yield stage.name, wrong
            if wrong:
                return
    finally:
        session.end()


def _solved(session: Session) -> list[str]:
    findings = session.check(session.solve(), _PATIENCE_SECONDS)
    return [f"check {each.name} fails after the solution: {each.missing}" for each in findings if not each.passed]
