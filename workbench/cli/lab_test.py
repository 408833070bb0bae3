"""`netsim lab test`."""

from __future__ import annotations

import os

import click

from workbench.cli.errors import require_root
from workbench.cli.labtexts import complete_labs

BROKEN = 1


@click.command("test")
@click.argument("labs", nargs=-1, required=True, metavar="LAB...", shell_complete=complete_labs)
@click.option("--seed", "seeds", multiple=True, type=click.IntRange(0), metavar="N", help="May be given several times.")
def command(labs: tuple[str, ...], seeds: tuple[int, ...]) -> int:
    """Prove that labs work: each check fails where its stage begins, and passes once the solution is done."""
    require_root("lab test")
    from workbench.labs.loading import find
    from workbench.labs.proof import prove

    well = True
    for lab in map(find, labs):
        for seed in seeds or (1,):
            for stage, wrong in prove(lab, seed, f"labtest-{os.getpid()}"):
                click.echo(f"{lab.name}, seed {seed}, stage {stage}: {'; '.join(wrong) or 'ok'}")
                well = well and not wrong
    return 0 if well else BROKEN
