"""`netsim lab status`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from workbench.cli.errors import require_root
from workbench.cli.labtexts import lab_cluster_option, tell_lab, tell_stage


@click.command("status")
@lab_cluster_option()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def command(name: str | None, output: str) -> None:
    """Show the lab's text, that of the stage which is under way, and what had passed when it was last checked."""
    require_root("lab status")
    from workbench.labs.session import Session

    session = Session.resume(name)
    if output == "json":
        stages = [stage.name for stage in session.lab.stages]
        document = {name: value for name, value in asdict(session.progress).items() if name != "values"}
        click.echo(json.dumps({**document, "stageNames": stages}, indent=2))
        return
    tell_lab(session)
    for stage, done in zip(session.lab.stages, session.progress.stages, strict=True):
        if done.passed:
            used = [f"{done.tries} tries" if done.tries != 1 else "1 try"]
            used += [f"{done.hints} hints" if done.hints != 1 else "1 hint"] if done.hints else []
            used += ["solution seen"] if done.solution else []
            click.echo(f"passed: {stage.title} ({', '.join(used)})")
    tell_stage(session)
