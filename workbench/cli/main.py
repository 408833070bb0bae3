"""The entry point of `netsim`: finds the subcommand, and turns every expected failure into words and a status.

Subcommands are imported when they are called, so that `netsim --help` and shell completion stay fast.
Statuses: 0 done, 1 it could not be done, 2 the command line is wrong.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from gettext import gettext

import click

from workbench.cli.errors import UserError

SUBCOMMANDS = {
    "up": "Start a cluster, or start it again.",
    "down": "Remove a cluster and all that it made.",
    "status": "Show nodes, subnets, pods, Services and health.",
    "vpc": "Show subnets, routes, firewall rules with counters, and addresses.",
    "node": "Add, remove, stop, start and crash nodes.",
    "explain": "Show what an object is in the kernel: chains, rules, counters.",
    "reach": "Show who reaches whom, by real connections, and why not.",
    "capture": "Capture packets at pods, nodes and the router.",
    "scapy": "Open scapy inside a pod or node.",
    "trace": "Send a packet and tell its whole way.",
    "fault": "Break something on purpose, and heal it.",
    "lab": "Take a lab: a cluster with a question in it.",
    "doctor": "Check what this host needs to carry a cluster.",
    "image": "Load, pull, list and remove container images.",
    "storage": "Show disks; add and remove the exports of file servers.",
    "kubeconfig": "Print, export or merge the kubeconfig.",
    "completion": "Print the completion script of a shell.",
}
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands live in modules of the same name in this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order a person needs them."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None if there is no such command."""
        if cmd_name not in SUBCOMMANDS:
            return None
        command = importlib.import_module(f"workbench.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggests commands that have not been imported, too."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=SUBCOMMANDS, ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table above, without importing one."""
        with formatter.section(gettext("Commands")):
            formatter.write_dl(list(SUBCOMMANDS.items()))


EPILOG = """\b
Examples:
  sudo netsim up                    three nodes, ready in about a second
  eval "$(sudo netsim kubeconfig --export)"
  kubectl get nodes
  sudo netsim down                  the host is as it was"""


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"netsim {version('netsim')}")
        ctx.exit()


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show it.")
def cli() -> None:
    """A Kubernetes cluster made of network namespaces, on this host, for the real kubectl."""


def main() -> None:
    """Run the command line and exit with its status; SIGTERM ends it as Ctrl-C does, with what was begun undone."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the status, having told any failure on standard error."""
    try:
        status = cli.main(arguments, prog_name="netsim", standalone_mode=False, color=_colour())
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.UsageError as error:
        _tell(error.format_message(), _usage_remedy(error))
        return 2
    except click.ClickException as error:
        _tell(error.format_message())
        return 1
    except (click.Abort, KeyboardInterrupt):
        _tell("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # the reader has gone; nothing is left to flush
        return 1
    except UserError as error:
        _tell(str(error), error.remedy)
        return 1
    except Exception as error:  # noqa: BLE001 — re-raised unless it is one of the trees below
        return _known_failure(error)
    return status if isinstance(status, int) else 0


def _known_failure(error: Exception) -> int:
    """Tell an error of the lower layers, which are imported only now; anything else is a bug and is raised."""
    from controlplane.config import ConfigError
    from netsim.errors import MissingRequirement, NetsimError

    if isinstance(error, MissingRequirement):
        _tell(error.what, error.remedy)
    elif isinstance(error, OSError) and error.filename is not None:
        _tell(f"{error.filename}: {error.strerror}")
    elif isinstance(error, ConfigError | NetsimError | OSError):
        _tell(str(error))
    else:
        raise error
    return 1


def _usage_remedy(error: click.UsageError) -> str:
    # The command behind `netsim capture TARGET` has no name.
    command = "netsim" if error.ctx is None else " ".join(error.ctx.command_path.split())
    first = "options go behind the command; " if isinstance(error, click.NoSuchOption) and command == "netsim" else ""
    return f"{first}see: {command} --help"


def _colour() -> bool | None:
    """False where none is wanted, by https://no-color.org or by the terminal's name; None: on any other terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def _tell(message: str, remedy: str = "") -> None:
    click.echo(f"{click.style('netsim: error:', fg='red', bold=True)} {message}", err=True, color=_colour())
    if remedy:
        click.echo(f"  {remedy}", err=True)


if __name__ == "__main__":
    main()
