"""`netsim reach`: a matrix of who reaches whom, by real connections, with the reason where one fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import click

from controlplane.config import ResolvedCluster
from controlplane.explain.reach import Firewall, Reached, Reasons, Source, Target, counters
from controlplane.fabric import node_plan, vpc_plan
from netsim.errors import NotFound
from netsim.reach import Attempt, Outcome, Protocol, attempt_all
from netsim.vpc.verdict import Connection, denying_rule
from workbench.cli.errors import UserError, require_root
from workbench.cli.options import name_option, namespace_option, running
from workbench.cli.status import table
from workbench.cli.world import LiveWorld
from workbench.places import NoSuchPlace
from workbench.places.ends import sources, targets

THREADS = 16
WIDEST = 8
"""Columns that are headed by names; more are headed by numbers."""
EPILOG = """\b
Examples:
  sudo netsim reach                              every pod of "default" to every other
  sudo netsim reach -n shop --to app=db --port 5432
  sudo netsim reach --from pod/client --to service/web
  sudo netsim reach -A --protocol icmp -o json

PLACE: pod/web-0, shop/pod/web-0 (in namespace shop), pod/web-*, deploy/web, service/web, app=web (labels), node/node-1,
namespace/shop, all; outside (this host, --from); an address (--to)."""


@click.command("reach", epilog=EPILOG)
@click.option("--from", "from_", multiple=True, metavar="PLACE", help="From these pods, nodes or the host.")
@click.option("--to", multiple=True, metavar="PLACE", help="To these pods, Services, nodes or addresses.")
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(1, 65535),
    help="Default: the first that the target declares.",
)
@click.option("--protocol", type=click.Choice(get_args(Protocol)), default="tcp", show_default=True, help="By what.")
@namespace_option()
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.05, 60),
    metavar="SECONDS",
    default=1.0,
    show_default=True,
    help="Until a connection is given up.",
)
@name_option()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def command(
    from_: tuple[str, ...],
    to: tuple[str, ...],
    port: int | None,
    protocol: Protocol,
    namespace: str,
    all_namespaces: bool,
    timeout: float,
    name: str,
    output: str,
) -> int:
    """Connect from pods to pods and Services, and show who reaches whom, and why not.

    Connections are real ones, made inside the pods' network namespaces. Ends with 1 if any of them failed.
    """
    require_root("reach")
    world = LiveWorld(running(name))
    try:
        where = "" if all_namespaces else namespace
        rows = sources(world, world.cluster, from_, where)
        columns = targets(world, world.cluster, to, where, port=port or 0, protocol=protocol)
        cells = _tried(world, rows, columns, protocol, timeout)
    except NoSuchPlace as error:
        raise UserError(str(error)) from error
    finally:
        world.close()
    if output == "json":
        click.echo(json.dumps([cell.document(protocol) for cell in cells], indent=2))
    else:
        click.echo(_text(rows, columns, cells, protocol))
    return 0 if all(cell.result == "ok" for cell in cells) else 1


def _tried(
    world: LiveWorld, rows: Sequence[Source], columns: Sequence[Target], protocol: Protocol, seconds: float
) -> list[Reached]:
    """Every source to every target but itself."""
    before, stop = counters(world), threading.Event()
    asked = {
        source: [target.seen_from(source) for target in columns if target.address != source.address] for source in rows
    }

    def work(source: Source) -> list[Outcome]:
        known = [Attempt(target.address, target.port, protocol) for target in asked[source] if target.address]
        try:
            found = iter(attempt_all(world.namespace_of(source.node, source.uid), known, seconds, stop=stop))
        except NotFound:
            return [Outcome("failed", 0.0, f"the network namespace of {source.name} is gone")] * len(asked[source])
        return [next(found) if target.address else Outcome("no route", 0.0) for target in asked[source]]

    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="reach") as threads:
        try:
            outcomes = dict(zip(rows, threads.map(work, rows), strict=True))
        finally:
            stop.set()  # for those that still try, after Ctrl-C
    world.look_again()
    reasons = Reasons(world, before, counters(world), firewall=vpc_firewall(world.cluster))
    cells = [
        reasons.of(source, target, Attempt(target.address, target.port, protocol), outcome)
        for source in rows
        for target, outcome in zip(asked[source], outcomes[source], strict=True)
    ]
    if all(cell.explained for cell in cells):
        return cells
    from workbench.cli.reach_traces import explained  # with all that captures need

    return explained(world, cells, protocol, seconds)


def vpc_firewall(cluster: ResolvedCluster) -> Firewall:
    """The cluster's VPC firewall, as a question about one connection."""
    plan, nodes = vpc_plan(cluster), [node_plan(node) for node in cluster.nodes]

    def denies(source: str, destination: str, protocol: str, port: int) -> str | None:
        rule = denying_rule(plan, nodes, Connection(source, destination, protocol, port))
        return None if rule is None else rule.name

    return denies


def _text(rows: Sequence[Source], columns: Sequence[Target], cells: Sequence[Reached], protocol: str) -> str:
    by_pair = {(cell.source.name, cell.target.name): cell for cell in cells}
    numbered = len(columns) > WIDEST
    heads = [f"[{number}]" for number in range(1, len(columns) + 1)] if numbered else [_head(each) for each in columns]
    body = [[source.name, *(_cell(by_pair.get((source.name, target.name))) for target in columns)] for source in rows]
    parts = [table(("FROM \\ TO", *heads), body)]
    if numbered:
        parts.append("\n".join(f"[{number}] {_head(each)}" for number, each in enumerate(columns, 1)))
    failed = [cell for cell in cells if cell.result != "ok"]
    if failed:
        parts.append(
            table(
                ("FROM", "TO", "RESULT", "REASON"),
                [(cell.source.name, _head(cell.target), cell.result, cell.reason) for cell in failed],
            )
        )
    parts.append(f"{len(cells) - len(failed)} of {len(cells)} {protocol} connections came about")
    return "\n\n".join(parts)


def _head(target: Target) -> str:
    return f"{target.name}:{target.port}"


def _cell(cell: Reached | None) -> str:
    return "-" if cell is None else cell.result
