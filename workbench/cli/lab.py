"""`netsim lab`: labs to take. One module per subcommand."""

from __future__ import annotations

import importlib

import click

SUBCOMMANDS = {
    "list": "Show the labs that there are, and those under way.",
    "start": "Begin a lab on a cluster of its own.",
    "status": "Show the text of the stage that is under way, and what is passed.",
    "check": "Check the stage that is under way; answer its questions.",
    "hint": "Show one more hint.",
    "reset": "Put everything back to where the stage began.",
    "solution": "Show how the stage is passed, or do it.",
    "finish": "Write the result, and remove the lab's cluster.",
    "grade": "Judge many results: a table, CSV, JUnit.",
    "test": "Prove that a lab works, for those who write one.",
}
EPILOG = """\b
Examples:
  sudo netsim lab list
  sudo netsim lab start pod-address
  sudo netsim lab check --answer address=10.200.1.2
  sudo netsim lab hint
  sudo netsim lab finish"""


class _Labs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        command = importlib.import_module(f"workbench.cli.lab_{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table above, whole and without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group("lab", cls=_Labs, epilog=EPILOG)
def command() -> None:
    """Take a lab: a cluster with a question in it, step by step, with checks and hints."""
