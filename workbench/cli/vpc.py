"""`netsim vpc`: the network below the cluster: subnets, routes, firewall rules and what they have counted."""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from controlplane.config import ResolvedCluster
from workbench.cli.errors import require_root
from workbench.cli.options import existing, name_option
from workbench.cli.status import table

EPILOG = """\b
Examples:
  sudo netsim vpc                         all of it
  sudo netsim vpc firewall                rules in their order, with counters
  sudo netsim vpc routes -o json --name lab
  sudo netsim vpc log                     connections by rules that have logging: true, as they come"""
_LOG_POLL_SECONDS = 0.5
_SHOWN = 4
Document = dict[str, Any]


def _output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    formats = click.Choice(["text", "json"])
    return click.option("-o", "--output", type=formats, default="text", show_default=True, help="Format.")(function)


@click.group("vpc", epilog=EPILOG, invoke_without_command=True)
@_output_option
@name_option()
@click.pass_context
def command(ctx: click.Context, output: str, name: str) -> None:
    """Show the VPC of a cluster: subnets, routes, firewall rules, paths and addresses."""
    if ctx.invoked_subcommand is not None:
        for option, parameter in (("--name", "name"), ("--output", "output")):
            if ctx.get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError(f"{option} goes behind {ctx.invoked_subcommand}", ctx)
    require_root("vpc")
    if ctx.invoked_subcommand is None:
        _show(name, output)


@command.command("show")
@_output_option
@name_option()
def show(output: str, name: str) -> None:
    """Show all of it; so does `netsim vpc` alone."""
    _show(name, output)


@command.command("list")
@_output_option
def list_all(output: str) -> None:
    """List the VPCs on this host, one a cluster."""
    from controlplane.config.host import other_clusters
    from controlplane.fabric import vpc_plan

    rows = [
        {
            "name": cluster.name,
            "mode": cluster.mode,
            "podNetwork": cluster.pod_network,
            "subnets": len(cluster.subnets),
            "nodes": len(cluster.nodes),
            "firewallRules": len(cluster.firewall),
            "router": vpc_plan(cluster).router_namespace,
        }
        for cluster in other_clusters("")
    ]
    head = ("VPC", "MODE", "POD NETWORK", "SUBNETS", "NODES", "FIREWALL RULES", "ROUTER")
    _print(rows, output, lambda: table(head, [list(row.values()) for row in rows]))


@command.command("subnets")
@_output_option
@name_option()
def subnets(output: str, name: str) -> None:
    """List the subnets with their primary and secondary ranges."""
    from workbench.cli import vpcstate

    found = vpcstate.subnets(_cluster(name))
    _print(found, output, lambda: _subnets(found))


@command.command("routes")
@_output_option
@name_option()
def routes(output: str, name: str) -> None:
    """List the routes: of subnets, of pods' ranges, and the custom ones."""
    from workbench.cli import vpcstate

    found = vpcstate.routes(_cluster(name))
    _print(found, output, lambda: _routes(found))


@command.command("firewall")
@_output_option
@name_option()
def firewall(output: str, name: str) -> None:
    """List the firewall rules in the order in which they are asked, with counters.

    A rule counts the packets that begin a connection, and each that it denies; answers pass without being asked about.
    """
    from workbench.cli import vpcstate

    found = vpcstate.rules(_cluster(name))
    _print(found, output, lambda: _firewall(found))


@command.command("paths")
@_output_option
@name_option()
def paths(output: str, name: str) -> None:
    """List what the ways between regions and zones carry."""
    from workbench.cli import vpcstate

    found = vpcstate.paths(_cluster(name))
    _print(found, output, lambda: _paths(found))


@command.command("addresses")
@_output_option
@name_option()
def addresses(output: str, name: str) -> None:
    """List the addresses in use: gateways, the API server, nodes, load balancers."""
    from workbench.cli import vpcstate

    found = vpcstate.addresses(_cluster(name))
    _print(found, output, lambda: _addresses(found))


@command.command("log")
@_output_option
@name_option()
@click.option("--seconds", type=click.FloatRange(0), metavar="N", help="End after so long; else Ctrl-C does.")
def log(output: str, name: str, seconds: float | None) -> None:
    """Print connections that firewall rules with logging let through or denied, as they come."""
    from controlplane.fabric import vpc_plan
    from netsim import namespace
    from netsim.nflog import NflogSocket
    from netsim.vpc.firewall import LOG_GROUP

    with namespace.entered(vpc_plan(_cluster(name)).router_path):
        packets = NflogSocket(LOG_GROUP)
    ends = None if seconds is None else time.monotonic() + seconds
    try:
        while ends is None or time.monotonic() < ends:
            if select.select([packets], [], [], _LOG_POLL_SECONDS)[0]:
                for packet in packets.receive():
                    _print_packet(packet, output)
    except KeyboardInterrupt:
        return  # which is how it is ended
    finally:
        packets.close()


def _print_packet(packet: Any, output: str) -> None:
    direction, action, rule = packet.prefix.split(" ", 2)
    source, destination = packet.source, packet.destination
    if output == "json":
        ports = {"sourcePort": packet.source_port, "port": packet.port}
        said = {"rule": rule, "direction": direction, "action": action, "protocol": packet.protocol}
        click.echo(json.dumps({**said, "source": source, "destination": destination, **ports}))
    else:
        ends = (
            [f"{source}:{packet.source_port}", f"{destination}:{packet.port}"] if packet.port else [source, destination]
        )
        click.echo(f"{action:5} {direction:7} {rule}: {packet.protocol} {' -> '.join(ends)}")
    sys.stdout.flush()


def _cluster(name: str) -> ResolvedCluster:
    return ResolvedCluster.load(existing(name).state)


def _show(name: str, output: str) -> None:
    from workbench.cli import vpcstate

    found = vpcstate.everything(_cluster(name))
    _print(found, output, lambda: _all(found))


def _print(found: Any, output: str, text: Callable[[], str]) -> None:
    click.echo(json.dumps(found, indent=2) if output == "json" else text())


def _all(found: Document) -> str:
    head = (
        f"VPC {found['name']}, mode {found['mode']}, MTU {found['mtu']}; pods {found['podNetwork']} with MTU"
        f" {found['podMtu']}; router: ip netns exec {found['router']} ..."
    )
    sections = [head, _subnets(found["subnets"]), _routes(found["routes"]), _firewall(found["firewall"])]
    sections += [_paths(found["paths"])] if found["paths"] else []
    return "\n\n".join([*sections, _addresses(found["addresses"])])


def _subnets(found: Sequence[Document]) -> str:
    rows = [
        (
            each["name"],
            each["region"],
            each["range"],
            each["gateway"],
            ",".join(f"{name}={network}" for name, network in each["secondaryRanges"].items()),
            each["egress"],
            each["nodes"],
            ",".join(each["zones"]),
        )
        for each in found
    ]
    return table(("SUBNET", "REGION", "RANGE", "GATEWAY", "SECONDARY RANGES", "EGRESS", "NODES", "ZONES"), rows)


def _routes(found: Sequence[Document]) -> str:
    states = {True: "yes", False: "no", None: "?"}
    rows = [
        (
            each["name"],
            each["destination"],
            each["nextHop"],
            each["priority"],
            ",".join(each["tags"]),
            states[each["active"]],
        )
        for each in found
    ]
    return table(("ROUTE", "DESTINATION", "NEXT HOP", "PRIORITY", "TAGS", "ACTIVE"), rows)


def _firewall(found: Sequence[Document]) -> str:
    rows = [
        (
            each["name"] + (" (disabled)" if each["disabled"] else ""),
            each["direction"],
            each["priority"],
            each["action"],
            ",".join(each["protocols"]),
            _some([*each["sourceRanges"], *(f"tag:{tag}" for tag in each["sourceTags"])]),
            _some([*each["destinationRanges"], *(f"tag:{tag}" for tag in each["targetTags"])]),
            "?" if each["packets"] is None else each["packets"],
        )
        for each in found
    ]
    return table(("RULE", "DIRECTION", "PRIORITY", "ACTION", "PROTOCOLS", "FROM", "TO OR TARGET", "PACKETS"), rows)


def _some(names: Sequence[str]) -> str:
    """The first few; JSON has all."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ",".join(names[:_SHOWN]) + more or "any"


def _paths(found: Sequence[Document]) -> str:
    rows = [
        (
            each["from"],
            each["to"],
            "unlimited" if each["rate"] is None else _rate(each["rate"]),
            f"{each['delay'] / 1000:g} ms" if each["delay"] else "none",
            f"{each['jitter'] / 1000:g} ms" if each["jitter"] else "none",
            f"{each['loss']:g}%" if each["loss"] else "none",
            "?" if each["bytes"] is None else each["bytes"],
            "?" if each["dropped"] is None else each["dropped"],
        )
        for each in found
    ]
    return table(("FROM", "TO", "RATE", "DELAY", "JITTER", "LOSS", "BYTES", "DROPPED"), rows)


def _rate(bits: int) -> str:
    for unit, size in (("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1_000)):
        if bits >= size:
            return f"{bits / size:g}{unit}"
    return f"{bits}bit"


def _addresses(found: Sequence[Document]) -> str:
    rows = [(each["address"], each["kind"], each["name"], each["subnet"], each.get("podRange") or "") for each in found]
    return table(("ADDRESS", "WHAT", "NAME", "SUBNET", "POD RANGE"), rows)
