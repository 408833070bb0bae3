"""`netsim explain`: from an object to its chains, rules and counters, and back from a rule to its object.

The explanations are pure functions of `controlplane.explain`; here they get their cluster and are printed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from controlplane.explain.difference import explain_changes
from controlplane.explain.pod import explain_pod
from controlplane.explain.policy import explain_policies, explain_policy
from controlplane.explain.rule import explain_rule
from controlplane.explain.service import explain_service
from controlplane.explain.world import NothingToExplain, Section
from workbench.cli.errors import UserError, require_root
from workbench.cli.options import name_option, namespace_option, running
from workbench.cli.world import LiveWorld

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

EPILOG = """\b
Examples:
  sudo netsim explain service web -n shop
  sudo netsim explain service --diff              what the proxies changed last
  sudo netsim explain policy default-deny
  sudo netsim explain pod web-0 -o json
  sudo netsim explain rule KUBE-SVC-ERIFXISQEP7F7OF4
  sudo netsim explain rule "$(sudo ip netns exec netsim-node-1 iptables-save | grep DNAT | head -1)\""""


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


_diff = click.option("--diff", is_flag=True, help="Show what the last apply changed on each node, of any object.")
_namespace = namespace_option("The object's namespace.")


@command.command("pod", epilog="\b\nExamples:\n  sudo netsim explain pod web-0 -n shop -o json")
@click.argument("pod")
@_namespace
@_shared
def explain_pod_command(pod: str, namespace: str, node: str, name: str, output: str) -> None:
    """Where a pod is, and which Services and policies select it."""
    with _world(name, node) as world:
        _show(explain_pod(world, namespace, pod), output)


@command.command("service", epilog="\b\nExamples:\n  sudo netsim explain service web -n shop --node node-1")
@click.argument("service", required=False)
@_diff
@_namespace
@_shared
def explain_service_command(service: str | None, namespace: str, diff: bool, node: str, name: str, output: str) -> None:
    """From a Service to its endpoints, and to every chain, rule and counter of each node."""
    if not service and not diff:
        raise click.UsageError("which Service? Only --diff needs no name")
    with _world(name, node) as world:
        _show(explain_changes(world, "proxy") if diff else explain_service(world, namespace, service or ""), output)


@command.command("policy", epilog="\b\nExamples:\n  sudo netsim explain policy default-deny -n shop")
@click.argument("policy", required=False)
@_diff
@_namespace
@_shared
def explain_policy_command(policy: str | None, namespace: str, diff: bool, node: str, name: str, output: str) -> None:
    """The pods that a NetworkPolicy selects, its chains, sets and counters, and what was denied last.

    Without a name, every policy of all namespaces, with its pods and denied packets.
    """
    with _world(name, node) as world:
        if diff:
            _show(explain_changes(world, "policy"), output)
        else:
            _show(explain_policy(world, namespace, policy) if policy else explain_policies(world), output)


class _RuleCommand(click.Command):
    """Takes a pasted rule as it is, though it begins with a dash: in quotation marks, or as bare words to the end."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "-A" in args:
            start = args.index("-A")
            args = [*args[:start], shlex.join(args[start:])]
        rules = [word for word in args if word.startswith("-A ")]
        if rules:
            args = [*(word for word in args if word not in (*rules, "--")), "--", *rules]
        return super().parse_args(ctx, args)


@command.command("rule", cls=_RuleCommand, epilog="\b\nExamples:\n  sudo netsim explain rule KUBE-SVC-ERIFXISQEP7F7OF4")
@click.argument("rule", nargs=-1, required=True, type=click.UNPROCESSED)
@_shared
def explain_rule_command(rule: tuple[str, ...], node: str, name: str, output: str) -> None:
    """From a line of iptables-save, or the name of a chain or set, back to what it is there for."""
    with _world(name, node) as world:
        _show(explain_rule(world, " ".join(rule)), output)


@contextmanager
def _world(name: str, node: str) -> Iterator[LiveWorld]:
    require_root("explain")
    world = LiveWorld(running(name), node)
    if not world.nodes():
        there = ", ".join(each.name for each in world.cluster.nodes if each.state == "running") or "none"
        raise UserError(f"there is no node {node} that runs" if node else "no node runs", f"those that run: {there}")
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
