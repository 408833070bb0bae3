"""`netsim node`: the machines behind the nodes of a running cluster. What Kubernetes has a word for is kubectl's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from controlplane.config import ConfigError, ResolvedCluster
from controlplane.directories import Directories
from workbench.cli.control import ask
from workbench.cli.errors import require_root
from workbench.cli.options import name_option
from workbench.cli.status import table
from workbench.cli.typed import typed

GRACE_SECONDS = 5.0
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


EPILOG = """\b
Examples:
  sudo netsim node add                              the next free number
  sudo netsim node add edge --zone us-central1-b --label disk=ssd --taint edge=true:NoSchedule
  sudo netsim node stop node-2                      shut down; kubectl sees it NotReady after a while
  sudo netsim node crash node-2 --name lab          the power fails
  sudo netsim node start node-2                     same address, its pods begin anew
  sudo netsim node remove node-3"""


@click.group("node", epilog=EPILOG)
def command() -> None:
    """Add and remove nodes of a running cluster; switch them off and on; have them crash."""


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    name = ctx.params.get("name") or "netsim"
    try:
        cluster = ResolvedCluster.load(Directories(name).state)
    except ConfigError:
        return []
    return [CompletionItem(node.name) for node in cluster.nodes if node.name.startswith(incomplete)]


def _node_argument(function: Decorated) -> Decorated:
    return click.argument("node", metavar="NODE", shell_complete=_complete)(function)


def _grace_option(function: Decorated) -> Decorated:
    return click.option(
        "--grace",
        type=click.FloatRange(0, 60),
        default=GRACE_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="How long processes have between SIGTERM and SIGKILL.",
    )(function)


@command.command("add")
@click.argument("node", required=False, metavar="[NODE]")
@click.option("--subnet", metavar="NAME", help="The subnet that it is in; the first if not given.")
@click.option("--zone", metavar="ZONE", help="Its zone; zone a of the subnet's region if not given.")
@click.option("--cpu", metavar="QUANTITY", help="What it says it has, as 4 or 500m; the host's own if not given.")
@click.option("--memory", metavar="QUANTITY", help="The same for memory, as 8Gi.")
@click.option("--max-pods", type=click.IntRange(1, 10_000), metavar="N", help="How many pods it takes.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label; may be given several times.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A network tag, for firewall rules and routes.")
@click.option("--machine-type", metavar="TYPE", help="As label node.kubernetes.io/instance-type.")
@click.option("--taint", "taints", multiple=True, metavar="KEY[=VALUE]:EFFECT", help="A taint that it registers with.")
@name_option()
def add(
    node: str | None,
    subnet: str | None,
    zone: str | None,
    cpu: str | None,
    memory: str | None,
    max_pods: int | None,
    labels: tuple[str, ...],
    tags: tuple[str, ...],
    machine_type: str | None,
    taints: tuple[str, ...],
    name: str,
) -> None:
    """Add a node, and return when it is Ready. Without a NODE it is called after the first free number."""
    require_root("node add")
    begun = time.monotonic()
    asked = {
        "node": node,
        "subnet": subnet,
        "zone": zone,
        "cpu": cpu,
        "memory": memory,
        "maxPods": max_pods,
        "labels": _labels(labels),
        "tags": list(tags),
        "machineType": machine_type,
        "taints": [_taint(text) for text in taints],
    }
    made = ask(name, "node add", asked)
    where = f"address {made['address']}, pods {made['podRange']}, zone {made['zone']}"
    if made["podRange"] is None:
        _tell(f"node {made['name']} is there and not Ready, for its subnet has no range for pods left: {where}", begun)
    else:
        _tell(f"node {made['name']} is ready: {where}", begun)


@command.command("remove")
@_node_argument
@_grace_option
@name_option()
def remove(node: str, grace: float, name: str) -> None:
    """Remove a node for good: its Node object, its pods, and all that it had in the kernel."""
    require_root("node remove")
    begun = time.monotonic()
    ask(name, "node remove", {"node": node, "grace": grace})
    _tell(f"node {node} is removed", begun)


@command.command("stop")
@_node_argument
@_grace_option
@name_option()
def stop(node: str, grace: float, name: str) -> None:
    """Shut a node down. Its Node object stays, and is NotReady once its lease has run out."""
    require_root("node stop")
    begun = time.monotonic()
    ask(name, "node stop", {"node": node, "grace": grace})
    _tell(f"node {node} is stopped; to switch it on: {typed('node', 'start', node, cluster=name)}", begun)


@command.command("crash")
@_node_argument
@name_option()
def crash(node: str, name: str) -> None:
    """Take a node's power away: all of its processes are killed at once, and nobody is told."""
    require_root("node crash")
    begun = time.monotonic()
    ask(name, "node crash", {"node": node})
    _tell(f"node {node} has crashed; to switch it on: {typed('node', 'start', node, cluster=name)}", begun)


@command.command("start")
@_node_argument
@name_option()
def start(node: str, name: str) -> None:
    """Switch a node on, and return when it is Ready. Its address is as before, its pods begin anew."""
    require_root("node start")
    begun = time.monotonic()
    ask(name, "node start", {"node": node})
    _tell(f"node {node} is ready", begun)


@command.command("list")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
@name_option()
def list_nodes(output: str, name: str) -> None:
    """List the machines: what each does, and where it is."""
    require_root("node list")
    nodes = ask(name, "node list")
    if output == "json":
        click.echo(json.dumps(nodes, indent=2))
        return
    rows = [
        (
            each["name"],
            each["state"],
            "yes" if each["ready"] else "no",
            each["zone"],
            each["subnet"],
            each["address"],
            each["podRange"],
        )
        for each in nodes
    ]
    click.echo(table(("NODE", "STATE", "READY", "ZONE", "SUBNET", "ADDRESS", "POD RANGE"), rows))


def _tell(what: str, begun: float) -> None:
    click.echo(f"{what} ({time.monotonic() - begun:.2f} s)")


def _labels(texts: Iterable[str]) -> dict[str, str]:
    labels = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--label")
        labels[key] = value
    return labels


def _taint(text: str) -> dict[str, str]:
    rest, colon, effect = text.rpartition(":")
    if not colon:
        raise click.BadParameter(f"{text!r} is not KEY[=VALUE]:EFFECT", param_hint="--taint")
    key, _, value = rest.partition("=")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})
