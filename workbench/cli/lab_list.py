"""`netsim lab list`."""

from __future__ import annotations

import json
import os

import click

from workbench.cli.status import table
from workbench.cli.typed import typed
from workbench.labs.progress import Progress


@click.command("list")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def command(output: str) -> None:
    """Show the labs that there are, and which are under way on this host."""
    from workbench.labs import loading, progress

    labs = [loading.load(loading.LIBRARY / name) for name in loading.names()]
    under_way = [progress.read(cluster) for cluster in progress.running()] if os.geteuid() == 0 else []
    if output == "json":
        listed = [
            {"name": lab.name, "title": lab.title, "minutes": lab.minutes, "stages": len(lab.stages)} for lab in labs
        ]
        going = [
            {"lab": each.lab, "cluster": each.cluster, "seed": each.seed, "stage": each.stage} for each in under_way
        ]
        click.echo(json.dumps({"labs": listed, "underWay": going}, indent=2))
        return
    rows = [(lab.name, lab.title, str(len(lab.stages)), str(lab.minutes)) for lab in labs]
    click.echo(table(("LAB", "TITLE", "STAGES", "MINUTES"), rows))
    for each in under_way:
        click.echo(f"under way: {each.lab} on cluster {each.cluster}, {_how_far(each)}")


def _how_far(progress: Progress) -> str:
    total = len(progress.stages)
    if progress.stage >= total:
        return f"all {total} stages passed; end it: {typed('lab', 'finish', '--name', progress.cluster)}"
    return f"stage {progress.stage + 1} of {total}"
