"""`netsim lab check`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from workbench.cli.errors import require_root
from workbench.cli.labtexts import PATIENCE_SECONDS, lab_cluster_option, parse_answers, tell_findings, tell_stage

FAILED = 1


@click.command("check")
@click.option("--answer", "answers", multiple=True, metavar="NAME=VALUE", help="An answer; may be given several times.")
@lab_cluster_option()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def command(answers: tuple[str, ...], name: str | None, output: str) -> int:
    """Check the stage that is under way, say what is not so yet, and go on to the next when all is well.

    Answers are kept: what is right need not be typed again. Ends with 1 while something is missing.
    """
    require_root("lab check")
    from workbench.labs.session import Session

    session = Session.resume(name)
    findings = session.check(parse_answers(answers), PATIENCE_SECONDS)
    passed = all(finding.passed for finding in findings)
    if output == "json":
        click.echo(json.dumps({"passed": passed, "checks": [asdict(finding) for finding in findings]}, indent=2))
        return 0 if passed else FAILED
    tell_findings(findings)
    if passed:
        click.secho("\nThis stage is passed.\n", fg="green", bold=True)
        tell_stage(session)
    return 0 if passed else FAILED
