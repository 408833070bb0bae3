"""`netsim kubeconfig`: give the caller what kubectl needs to find and enter a cluster."""

from __future__ import annotations

import os
import shlex
import shutil
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
  sudo netsim kubeconfig --merge                 kubectl in every shell, by ~/.kube/config
  sudo netsim kubeconfig --name lab > lab.yaml   the file itself"""


@click.command("kubeconfig", epilog=EPILOG)
@name_option()
@click.option("--export", is_flag=True, help="Print the line `export KUBECONFIG=…` for a file that you can read.")
@click.option("--merge", is_flag=True, help="Merge into your ~/.kube/config and make it the current context.")
def command(name: str, export: bool, merge: bool) -> None:
    """Print the cluster's kubeconfig, or hand it to your shell or to your ~/.kube/config.

    Under sudo, "you" is who called sudo: the file is yours, with mode 0600. `netsim down` takes back what this made.
    """
    if export and merge:
        raise click.UsageError("--export and --merge exclude each other", click.get_current_context())
    require_root("kubeconfig")
    directories = existing(name)
    if export:
        click.echo(f"export KUBECONFIG={shlex.quote(str(exports.export(directories, invoking_owner())))}")
        _echo_path()
    elif merge:
        owner = invoking_owner()
        path = exports.merge(directories, owner)
        click.echo(f"merged into {path}, owned by {owner.name}; it is the current context", err=True)
    else:
        click.echo(exports.content(directories), nl=False)


def _echo_path() -> None:
    """A line that puts our kubectl at the end of the caller's PATH, where the shell finds no other."""
    here = Path(sys.executable).parent
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/bin"))
    if shutil.which("kubectl", path=path) is None and (here / "kubectl").exists():
        click.echo(f'command -v kubectl >/dev/null || export PATH="$PATH":{shlex.quote(str(here))}')
