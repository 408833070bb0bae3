"""`netsim trace`: one real packet, and its whole story."""

from __future__ import annotations

import json

import click

from netsim.errors import NetsimError
from workbench.cli.errors import UserError, require_root
from workbench.cli.options import name_option, namespace_option, running
from workbench.cli.world import LiveWorld
from workbench.places import NoSuchPlace
from workbench.tracing import read_ends, to_lines, to_svg, trace

EPILOG = """From: pod/web-0, deploy/web (its first pod), node/node-1, outside (this host).

To: a pod, a Service, a node or an address, with a port: service/web:80, service/web:http, node/node-1:30080.

\b
Examples:
  sudo netsim trace pod/client service/web:80
  sudo netsim trace pod/client shop/pod/db:5432 -o json
  sudo netsim trace outside node/node-1:30080
  sudo netsim trace pod/client service/dns:53 --protocol udp
  sudo netsim trace pod/client pod/web --protocol icmp --size 1400
  sudo netsim trace pod/client service/web:80 -o svg > way.svg"""


@click.command("trace", epilog=EPILOG)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO[:PORT]")
@click.option(
    "--protocol", type=click.Choice(["tcp", "udp", "icmp"]), default="tcp", show_default=True, help="Of the probe."
)
@click.option(
    "--size", type=click.IntRange(0, 65000), default=0, metavar="BYTES", help="Of the data; for udp and icmp."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 30),
    metavar="SECONDS",
    default=1.0,
    show_default=True,
    help="Until an answer is given up.",
)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "svg"]), default="text", help="Form of what is shown."
)
@namespace_option()
@name_option()
def command(
    source: str, target: str, protocol: str, size: int, timeout: float, output: str, namespace: str, name: str
) -> None:
    """Send a packet, and tell every link, rule, route and translation that it met, and where it ended."""
    require_root("trace")
    if size and protocol == "tcp":
        raise UserError("--size is for udp and icmp: a TCP probe only opens a connection")
    directories = running(name)
    world = LiveWorld(directories)
    try:
        ends = read_ends(world, world.cluster, directories, (source, target), namespace)
        story = trace(world, world.cluster, directories, ends, protocol=protocol, size=size, timeout=timeout)  # type: ignore[arg-type]
    except NoSuchPlace as error:
        raise UserError(str(error)) from error
    except NetsimError as error:
        raise UserError(f"cannot trace: {error}") from error
    finally:
        world.close()
    if output == "json":
        click.echo(json.dumps(story.document(), indent=2))
    elif output == "svg":
        click.echo(to_svg(story), nl=False)
    else:
        for line in to_lines(story):
            click.echo(line)
