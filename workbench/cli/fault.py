"""`netsim fault`: breaks something on purpose by Kubernetes' names, and heals it. What it makes are Fault objects."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

from controlplane.api.types import Object
from controlplane.faults.definition import DIRECTIONS, FAULT, NEEDS, TYPES
from controlplane.faults.model import Refused, read_spec
from netsim.faults import require_shape
from workbench.cli.apiclient import ApiReader
from workbench.cli.errors import UserError, require_root
from workbench.cli.options import name_option, namespace_option, running
from workbench.cli.status import table
from workbench.cli.world import LiveWorld
from workbench.places import NoSuchPlace, describe

_PATH = f"/apis/{FAULT.group}/{FAULT.version}/{FAULT.plural}"
_WORDS = {re.sub(r"([A-Z])", lambda match: f"-{match[1].lower()}", type_): type_ for type_ in TYPES}
_OPTIONS = {"names": "--dns-name"}
"""Where an option is not called as its field."""
_SETTLED_SECONDS = 60.0
_HEALED_SECONDS = 60.0
_POLL_SECONDS = 0.03
_TWO_ENDS = ("partition", "delay", "loss", "rate")
EPILOG = """\
Places: pod/web-0, shop/pod/web-0 (in namespace shop), deploy/web, service/web, app=web (labels), node/node-1,
subnet/default, namespace/shop, all; as a second one also a range of addresses.

\b
Examples:
  sudo netsim fault add partition pod/client service/web --duration 30s
  sudo netsim fault add partition node/node-2                    from everything
  sudo netsim fault add delay deploy/web --delay 100ms --jitter 10ms
  sudo netsim fault add rate pod/client pod/web --rate 1Mbit
  sudo netsim fault add dns-failure pod/client --dns-name web
  sudo netsim fault add route-removed node/node-1 --route default --duration 10s
  sudo netsim fault list
  sudo netsim fault heal --all"""


class _Type(click.Choice[str]):
    """The types as words of a command line; as objects have them they are taken too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Always the object's."""
        return _WORDS[super().convert({type_: word for word, type_ in _WORDS.items()}.get(value, value), param, ctx)]


@click.group("fault", epilog=EPILOG)
def command() -> None:
    """Break links, routes, rules, names, processes and nodes on purpose. `kubectl get faults` shows the same."""


def _lacks(type_: str, spec: Mapping[str, Any]) -> str | None:
    """The option that the type cannot do without, and that is not given."""
    if type_ == "ruleRemoved":
        return None if "rule" in spec or "chain" in spec else "--rule or --chain"
    needed = NEEDS.get(type_, ("from", ""))[0]
    return None if needed == "from" or needed in spec else _OPTIONS.get(needed, f"--{needed}")


@command.command("add", epilog=EPILOG)
@click.argument("type_", metavar="TYPE", type=_Type(list(_WORDS)))
@click.argument("places", metavar="PLACE [PLACE]", nargs=-1, required=True)
@click.option("--as", "fault", metavar="FAULT", help="Its name; one is made up if not given.")
@click.option("--start", metavar="TIME", help="Until it begins, as 5s.")
@click.option("--duration", metavar="TIME", help="Until it heals by itself; without it, it lasts until it is healed.")
@click.option("--direction", type=click.Choice(DIRECTIONS), help="Of the first place.")
@click.option("--delay", metavar="TIME", help="Of each packet, as 100ms.")
@click.option("--jitter", metavar="TIME", help="By which the delay varies.")
@click.option("--loss", metavar="PERCENT", help="As 5%.")
@click.option("--rate", metavar="RATE", help="As 1Mbit.")
@click.option("--period", metavar="TIME", help="Of flap.")
@click.option("--mtu", type=click.IntRange(68, 65535), metavar="BYTES", help="Of mtu.")
@click.option("--container", "containers", multiple=True, metavar="NAME", help="Of process-kill and process-pause.")
@click.option("--dns-name", "names", multiple=True, metavar="NAME", help="Of dns-failure; * is every name.")
@click.option("--route", metavar="RANGE", help="Of route-removed: a range, or default.")
@click.option("--table", "table_", metavar="TABLE", help="Of rule-removed: nat if not given.")
@click.option("--rule", metavar="LINE", help="Of rule-removed: a line as iptables-save prints it.")
@click.option("--chain", metavar="CHAIN", help="Of rule-removed: all of its rules.")
@namespace_option()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
@name_option()
def add(
    type_: str, places: Sequence[str], fault: str | None, namespace: str, output: str, name: str, **fields: Any
) -> None:
    """Break something, and return when it is broken."""
    require_root("fault add")
    given = {field.rstrip("_"): list(value) if isinstance(value, tuple) else value for field, value in fields.items()}
    spec = {"type": type_, **{field: value for field, value in given.items() if value}}
    if (lacks := _lacks(type_, spec)) is not None:
        word = next(word for word, meant in _WORDS.items() if meant == type_)
        raise click.UsageError(f"{word} needs {lacks}", click.get_current_context())
    world = LiveWorld(running(name))
    try:
        spec |= _ends(type_, [describe(world, world.cluster, place, namespace) for place in places])
        read = read_spec(spec)
        require_shape(f"fault {type_}", delay=read.delay, jitter=read.jitter, loss=read.loss)
    except (NoSuchPlace, Refused) as error:
        raise UserError(str(error)) from error
    finally:
        world.close()
    with _api(name) as api:
        metadata = {"name": fault or f"{type_.lower()}-{os.urandom(3).hex()}"}
        body = {"apiVersion": FAULT.api_version, "kind": FAULT.name, "metadata": metadata, "spec": spec}
        made = _settled(api, api.send("POST", _PATH, body))
    if output == "json":
        click.echo(json.dumps(made, indent=2))
    else:
        click.echo(f"fault {made['metadata']['name']}: {_told(made)}")


@command.command("list")
@click.option("--all", "every", is_flag=True, help="Also those that are healed.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
@name_option()
def list_faults(every: bool, output: str, name: str) -> None:
    """List the faults: what each does, and where. Those that healed by themselves are not shown."""
    require_root("fault list")
    with _api(name) as api:
        faults = [each for each in api.items(_PATH) if every or _phase(each) != "Healed"]
    if output == "json":
        click.echo(json.dumps(faults, indent=2))
        return
    rows = [
        (each["metadata"]["name"], each["spec"]["type"], _phase(each), _until(each), _told(each)) for each in faults
    ]
    click.echo(table(("FAULT", "TYPE", "PHASE", "HEALS IN", "WHAT"), rows) if rows else "no faults")


@command.command("heal")
@click.argument("faults", metavar="[FAULT]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them.")
@name_option()
def heal(faults: Sequence[str], every: bool, name: str) -> None:
    """Heal faults, and return when they are healed. Their objects go."""
    require_root("fault heal")
    if bool(faults) == every:
        raise click.UsageError("give the names of faults, or --all")
    with _api(name) as api:
        there = [each["metadata"]["name"] for each in api.items(_PATH)]
        unknown = [each for each in faults if each not in there]
        if unknown:
            raise UserError(f"there is no fault {', '.join(unknown)}", f"there is: {', '.join(there) or 'none'}")
        names = there if every else faults
        for each in names:
            api.send("DELETE", f"{_PATH}/{each}")
        for each in names:
            _await_gone(api, each)
            click.echo(f"fault {each} is healed")


@contextmanager
def _api(name: str) -> Iterator[ApiReader]:
    reader = ApiReader(running(name).admin_kubeconfig)
    try:
        yield reader
    finally:
        reader.close()


def _ends(kind: str, selections: Sequence[Object]) -> Object:
    if len(selections) > 2 or (len(selections) == 2 and kind not in _TWO_ENDS):
        most = "one or two places" if kind in _TWO_ENDS else "one place"
        raise UserError(f"{kind} takes {most}")
    if len(selections) == 2:
        return {"from": selections[0], "to": selections[1]}
    return {"from" if kind == "partition" else "target": selections[0]}


def _settled(api: ApiReader, made: Object) -> Object:
    """The fault when its controller has said something; one that failed is taken away again."""
    name = made["metadata"]["name"]
    found = made

    def said() -> bool:
        nonlocal found
        found = _find(api, name) or found
        phase = _phase(found)
        return phase in ("Healed", "Failed") or bool(found.get("status", {}).get("conditions")) or _waits(found)

    _await(said, _SETTLED_SECONDS, f"fault {name} is not brought about; see the daemon's log")
    if _phase(found) == "Failed":
        api.send("DELETE", f"{_PATH}/{name}")
        raise UserError(found["status"]["conditions"][0]["message"])
    return found


def _await_gone(api: ApiReader, name: str) -> None:
    _await(lambda: _find(api, name) is None, _HEALED_SECONDS, f"fault {name} is not healed; see the daemon's log")


def _waits(fault: Object) -> bool:
    return _phase(fault) == "Pending" and "start" in fault["spec"] and "status" in fault


def _find(api: ApiReader, name: str) -> Object | None:
    return next((each for each in api.items(_PATH) if each["metadata"]["name"] == name), None)


def _await(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise UserError(otherwise)
        time.sleep(_POLL_SECONDS)


def _phase(fault: Object) -> str:
    return str(fault.get("status", {}).get("phase", "Pending"))


def _told(fault: Object) -> str:
    conditions = fault.get("status", {}).get("conditions")
    return str(conditions[0]["message"]) if conditions else f"begins in {fault['spec'].get('start', '0s')}"


def _until(fault: Object) -> str:
    end = fault.get("status", {}).get("endTime")
    if end is None or _phase(fault) != "Active":
        return "-"
    return f"{max(datetime.fromisoformat(end).timestamp() - time.time(), 0):.0f}s"
