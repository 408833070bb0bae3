"""`netsim scapy`: scapy, interactively, inside a pod's or a node's network namespace."""

from __future__ import annotations

import os
from code import InteractiveInterpreter
from pathlib import Path

import click

from netsim import syscalls
from workbench.cli.errors import UserError, require_root
from workbench.cli.options import name_option, namespace_option, running
from workbench.cli.world import LiveWorld
from workbench.places import AddressBook, NoSuchPlace, points_of, select

EPILOG = """\b
Examples:
  sudo netsim scapy pod/client
  >>> sr1(IP(dst=names["service/web"])/TCP(dport=80, flags="S"))
  >>> sniff(count=3).summary()
  sudo netsim scapy pod/client --command 'print(sr1(IP(dst="10.44.1.3")/ICMP(), timeout=2, verbose=0).summary())'"""


@click.command("scapy", epilog=EPILOG)
@click.argument("place")
@click.option("--command", "text", default="", metavar="TEXT", help="Run this instead of reading from the terminal.")
@namespace_option()
@name_option()
def command(place: str, text: str, namespace: str, name: str) -> int:
    """Open scapy inside a pod or node. `names` gives the addresses of pods, Services and nodes."""
    require_root("scapy")
    directories = running(name)
    world = LiveWorld(directories)
    try:
        selection = select(world, world.cluster, place, namespace)
        point = points_of(selection, (), world.cluster, directories)[0]
        book = AddressBook(world, world.cluster)
    except NoSuchPlace as error:
        raise UserError(str(error)) from error
    finally:
        world.close()
    _enter(point.netns)
    names = {said: address for address, said in book.names.items()}
    return _run(names, text, f"inside {point.name}; names has the cluster's addresses")


def _enter(netns: Path) -> None:
    """This process has one thread, and does nothing else afterwards."""
    with syscalls.opened(str(netns)) as descriptor:
        syscalls.setns(descriptor, syscalls.CLONE_NEWNET)
    # scapy keeps its history and settings in the home directory, which is the user's own.
    os.environ.setdefault("HOME", "/root")


class _Interpreter(InteractiveInterpreter):
    """Runs the caller's text; what fails in it is shown as Python shows it, without the frames that are ours."""

    failed = False

    def write(self, data: str) -> None:
        """Only tracebacks are written."""
        self.failed = True
        super().write(data)

    def run(self, text: str) -> bool:
        """Whether it ran to its end."""
        try:
            code = compile(text, "--command", "exec")
        except (SyntaxError, ValueError, OverflowError):
            self.showsyntaxerror("--command")
        else:
            self.runcode(code)
        return not self.failed


def _run(names: dict[str, str], text: str, banner: str) -> int:
    # What scapy reads of links and routes it reads when it is imported: by now those of the namespace.
    from scapy import all as scapy
    from scapy.main import interact

    if text:
        known = {name: value for name, value in vars(scapy).items() if not name.startswith("__")}
        return 0 if _Interpreter({**known, "names": names}).run(text) else 1
    # It reads the command line by itself.
    interact(mydict={"names": names}, argv=["scapy"], mybanner=banner)
    return 0
