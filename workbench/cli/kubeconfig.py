"""`netsim kubeconfig`: give the caller what kubectl needs to find and enter a cluster."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from workbench.cli import exports
from workbench.cli.errors import require_root
from workbench.cli.files import invoking_owner
from workbench.cli.options import existing, name_option

EPILOG = """\b
Examples:
  eval "$(sudo netsim kubeconfig --export)"      kubectl in this shell
  sudo netsim kubeconfig --merge                 in every shell, by ~/.kube/config
  sudo netsim kubeconfig --name lab > lab.yaml   the file itself"""


@click.command("kubeconfig", epilog=EPILOG)
@name_option()
@click.option("--export", is_flag=True, help="Print `export` lines: a file that you can read, a cache, PATH.")
@click.option("--merge", is_flag=True, help="Merge into the file that your kubectl uses; make it the current context.")
def command(name: str, export: bool, merge: bool) -> None:
    """Print the cluster's kubeconfig, or hand it to your shell or to your kubectl's own file.

    That file is the one in KUBECONFIG, else ~/.kube/config. Under sudo, "you" is who called sudo: the file is yours,
    with mode 0600. `netsim down` takes back what this made.
    """
    if export and merge:
        raise click.UsageError("--export and --merge exclude each other", click.get_current_context())
    require_root("kubeconfig")
    directories = existing(name)
    if export:
        owner = invoking_owner()
        click.echo(f"export KUBECONFIG={shlex.quote(str(exports.export(directories, owner)))}")
        click.echo(f"export KUBECACHEDIR={shlex.quote(str(exports.cache(directories, owner)))}")
        _echo_path()
    elif merge:
        owner = invoking_owner()
        path = exports.merge(directories, owner, os.environ.get("KUBECONFIG", ""))
        click.echo(f"merged into {path}, owned by {owner.name}; it is the current context", err=True)
    else:
        click.echo(exports.content(directories), nl=False)


def _echo_path() -> None:
    """A line that puts our kubectl before others of the caller's: it is the one that the cluster is tested with."""
    here = Path(sys.executable).parent
    if (here / "kubectl").exists():
        click.echo(f'export PATH={shlex.quote(str(here))}:"$PATH"')
