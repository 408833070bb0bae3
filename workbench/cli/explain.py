"""`netsim explain`: from an object to its chains, rules and counters, and back from a rule to its object.

The explanations are pure functions of `controlplane.explain`; here they get their cluster and are printed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from controlplane.explain.pod import explain_pod
from controlplane.explain.world import NothingToExplain, Section
from workbench.cli.errors import UserError, require_root
from workbench.cli.options import existing, name_option
from workbench.cli.world import LiveWorld

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

EPILOG = """\b
Examples:
  sudo netsim explain pod web-0 -n shop"""


@click.group("explain", epilog=EPILOG)
def command() -> None:
    """Show what an object is in the kernel: chains, rules and live counters of each node, and back."""


def _shared(function: Decorated) -> Decorated:
    """The options of every explanation."""
    for option in (
        click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Format."),
        click.option("--node", default="", metavar="NODE", help="Look at this node only."),
        name_option(),
    ):
        function = option(function)
    return function


_namespace = click.option("-n", "--namespace", default="default", show_default=True, help="The object's namespace.")


@command.command("pod", epilog="\b\nExamples:\n  sudo netsim explain pod web-0 -n shop -o json")
@click.argument("pod")
@_namespace
@_shared
def explain_pod_command(pod: str, namespace: str, node: str, name: str, output: str) -> None:
    """Where a pod is, and which Services and policies select it."""
    with _world(name, node) as world:
        _show(explain_pod(world, namespace, pod), output)


@contextmanager
def _world(name: str, node: str) -> Iterator[LiveWorld]:
    require_root("explain")
    world = LiveWorld(existing(name), node)
    if not world.nodes():
        raise UserError(f"there is no node {node}")
    try:
        yield world
    except NothingToExplain as error:
        raise UserError(str(error)) from error
    finally:
        world.close()


def _show(sections: list[Section], output: str) -> None:
    if output == "json":
        click.echo(json.dumps({section.key: section.data for section in sections}, indent=2))
        return
    for number, section in enumerate(sections):
        click.echo(("\n" if number else "") + click.style(section.title, bold=True))
        for line in section.lines:
            click.echo(f"  {line}")
