"""`netsim lab finish`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from workbench.cli.errors import require_root
from workbench.cli.labtexts import lab_cluster_option
from workbench.cli.typed import typed


@click.command("finish")
@click.option(
    "-w", "--write", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Where to."
)
@click.option("--key", default="", envvar="NETSIM_LAB_KEY", show_envvar=True, metavar="TEXT", help="The course's key.")
@click.option("--keep", is_flag=True, help="Leave the cluster, for `netsim lab grade --rerun`.")
@lab_cluster_option()
def command(file: Path | None, key: str, keep: bool, name: str | None) -> None:
    """Write the result, by default to LAB-SEED.json in this directory, and remove the lab's cluster."""
    require_root("lab finish")
    from workbench.cli.files import acting_as, invoking_owner, write_atomically
    from workbench.labs.results import result_of, score
    from workbench.labs.session import Session

    session = Session.resume(name)
    result = result_of(session.lab, session.progress, key)
    path = file or Path(f"{session.lab.name}-{session.progress.seed}.json")
    with acting_as(invoking_owner()):
        write_atomically(path, json.dumps(result, indent=2).encode() + b"\n", mode=0o644)
    passed = sum(stage["passed"] for stage in result["stages"])
    points = sum(score(stage) for stage in result["stages"])
    click.echo(f"{passed} of {len(result['stages'])} stages passed, {points:.1f} points; the result is in {path}")
    if keep:
        cluster = session.progress.cluster
        click.echo(f"cluster {cluster} is left; remove it: {typed('down', cluster=cluster)}")
        return
    session.end()
    click.echo(f"cluster {session.progress.cluster} is removed")
