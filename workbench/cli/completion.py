"""`netsim completion`: the script that teaches a shell to complete netsim's commands, options and cluster names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
EPILOG = """\b
Examples:
  eval "$(netsim completion bash)"                     in this shell
  netsim completion bash | sudo tee /etc/bash_completion.d/netsim
  netsim completion zsh > ~/.zfunc/_netsim
  netsim completion fish > ~/.config/fish/completions/netsim.fish"""


@click.command("completion", epilog=EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script of SHELL."""
    from workbench.cli.main import cli

    completer = get_completion_class(shell)
    assert completer is not None
    click.echo(completer(cli, {}, "netsim", "_NETSIM_COMPLETE").source())
