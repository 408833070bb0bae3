"""`netsim lab reset`."""

from __future__ import annotations

import click

from workbench.cli.errors import require_root
from workbench.cli.labtexts import lab_cluster_option, tell_lab, tell_stage


@click.command("reset")
@lab_cluster_option()
def command(name: str | None) -> None:
    """Put everything back to where the stage began: the cluster is made anew, and earlier stages are done in it."""
    require_root("lab reset")
    from workbench.labs.session import Session

    session = Session.resume(name)
    session.reset()
    click.echo(f"cluster {session.progress.cluster} is as it was when this stage began\n")
    tell_lab(session)
    tell_stage(session)
