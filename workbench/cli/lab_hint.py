"""`netsim lab hint`."""

from __future__ import annotations

import click

from workbench.cli.errors import require_root
from workbench.cli.labtexts import lab_cluster_option


@click.command("hint")
@lab_cluster_option()
def command(name: str | None) -> None:
    """Show one more hint for the stage that is under way. How many were shown is in the result."""
    require_root("lab hint")
    from workbench.labs.session import Session

    session = Session.resume(name)
    number, text = session.hint()
    click.echo(f"hint {number} of {session.hints}: {text}")
