"""`netsim status`: one cluster at a glance, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from workbench.cli.clusterstate import HEALTHY, Document, collect
from workbench.cli.errors import require_root
from workbench.cli.options import existing, name_option
from workbench.cli.typed import typed

COLOURS = {"healthy": "green", "degraded": "yellow", "stopped": "red"}
EPILOG = """\b
Examples:
  sudo netsim status
  sudo netsim status --name lab -o json
  sudo netsim status -o json | jq .daemon.pid"""


@click.command("status", epilog=EPILOG)
@name_option()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def command(name: str, output: str) -> int:
    """Show a cluster's nodes, subnets, pods, Services and health.

    Ends with status 0 if the cluster is healthy and 1 if it is degraded or stopped.
    """
    require_root("status")
    document = collect(existing(name))
    click.echo(json.dumps(document, indent=2) if output == "json" else _text(document))
    return 0 if document["health"] == HEALTHY else 1


def _text(document: Document) -> str:
    sections = [_head(document), _subnets(document)]
    if document["version"] is not None:
        sections += [_nodes(document) if document["nodes"] else "", _services(document), _waiting_pods(document)]
    return "\n\n".join(section for section in sections if section)


def _head(document: Document) -> str:
    health = click.style(document["health"], fg=COLOURS[document["health"]], bold=True)
    lines = [f"cluster {document['name']} is {health}"]
    lines += [f"  {problem}" for problem in document["problems"]]
    daemon, pods = document["daemon"], document["pods"]
    if daemon is not None:
        megabytes = daemon["memoryBytes"] / 1_000_000
        lines.append(f"daemon    pid {daemon['pid']}, {megabytes:.0f} MB, up {_duration(daemon['uptimeSeconds'])}")
        lines.append(f"API       {document['api']}, {document['version'] or 'no answer'}")
        lines.append(f"pods      {pods['ready']} ready of {pods['total']}")
    else:
        lines.append(f"to start it again: {typed('up', cluster=document['name'])}")
    network = document["network"]
    lines.append(_network(network))
    return "\n".join(lines)


def _network(network: Document) -> str:
    pods = f"pods {network['podNetwork']} with MTU {network['podMtu']}"
    rules = [(network["firewallRules"], "firewall rule"), (network["routes"], "route"), (network["paths"], "path")]
    own = [f"{count} {what}{'' if count == 1 else 's'}" for count, what in rules if count]
    own += [] if network["offloads"] else ["offloads off"]
    return ", ".join([f"network   {network['mode']}, MTU {network['mtu']}", pods, f"egress {network['egress']}", *own])


def _subnets(document: Document) -> str:
    rows = [
        (each["name"], each["region"], each["range"], each["gateway"], each["podRange"], each["nodes"])
        for each in document["subnets"]
        # Of automatic mode's many, those that are used.
        if each["podRange"] is not None
    ]
    return table(("SUBNET", "REGION", "RANGE", "GATEWAY", "PODS", "NODES"), rows)


def _nodes(document: Document) -> str:
    rows = [
        (each["name"], _node_state(each), each["address"], each["podRange"], each["zone"], each["pods"])
        for each in document["nodes"]
    ]
    return table(("NODE", "STATE", "ADDRESS", "POD RANGE", "ZONE", "PODS"), rows)


def _waiting_pods(document: Document) -> str:
    rows = [
        (f"{each['namespace']}/{each['name']}", each["phase"], each["reason"], each["node"])
        for each in document["pods"]["items"]
        if not each["ready"] and each["phase"] != "Succeeded"
    ]
    return table(("POD THAT IS NOT READY", "PHASE", "REASON", "NODE"), rows) if rows else ""


def _node_state(node: Document) -> str:
    return ("Ready" if node["ready"] else "NotReady") + ("" if node["schedulable"] else ",SchedulingDisabled")


def _services(document: Document) -> str:
    rows = [
        (
            f"{each['namespace']}/{each['name']}",
            each["type"],
            each["clusterIP"],
            ",".join(each["externalIPs"]),
            ",".join(_port(port) for port in each["ports"]),
        )
        for each in document["services"]
    ]
    return table(("SERVICE", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORTS"), rows)


def _port(port: Document) -> str:
    return f"{port['port']}{':' + str(port['nodePort']) if port['nodePort'] else ''}/{port['protocol']}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as kubectl prints them: three spaces apart, nothing shown as <none>."""
    cells = [[str(cell) if cell not in (None, "") else "<none>" for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([click.style(lines[0], bold=True), *lines[1:]])
