"""`netsim lab solution`."""

from __future__ import annotations

import click

from workbench.cli.errors import require_root
from workbench.cli.labtexts import lab_cluster_option, typed_in_lab


@click.command("solution")
@click.option("--apply", "do_it", is_flag=True, help="Do it too; then: netsim lab check.")
@lab_cluster_option()
def command(do_it: bool, name: str | None) -> None:
    """Show what passes the stage that is under way. The result says that it was shown, and the stage counts nothing."""
    require_root("lab solution")
    from workbench.labs.session import Session

    session = Session.resume(name)
    check = typed_in_lab(session, "check")
    for line in session.solution(check=check):
        click.echo(line)
    if do_it:
        session.answer(session.solve())
        click.echo(f"\ndone; now: {check}")
