"""`netsim lab start`."""

from __future__ import annotations

import random

import click

from workbench.cli.errors import require_root
from workbench.cli.labtexts import complete_labs, lab_cluster_option, tell_lab, tell_stage


@click.command("start")
@click.argument("lab", metavar="LAB", shell_complete=complete_labs)
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Names and addresses; a random one if not given.")
@click.option("--student", default="", metavar="NAME", help="Who takes it; makes the seed, so it goes without --seed.")
@lab_cluster_option()
def command(lab: str, seed: int | None, student: str, name: str | None) -> None:
    """Begin a lab on a cluster of its own, called lab-LAB if not --name. LAB is a name, or the folder of a lab."""
    require_root("lab start")
    from workbench.labs.loading import find
    from workbench.labs.session import Session, seed_of
    from workbench.labs.values import SEEDS

    if student and seed is not None:
        raise click.UsageError("--student and --seed exclude each other", click.get_current_context())
    if student:
        seed = seed_of(student)
    session = Session.start(find(lab), random.randrange(SEEDS) if seed is None else seed, student, name or "")
    tell_lab(session)
    tell_stage(session)
