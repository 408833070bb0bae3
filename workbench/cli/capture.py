"""`netsim capture`: packets at several points of a cluster at once, by Kubernetes' names."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from controlplane.directories import CACHE_ROOT
from netsim.capture import FilterRejected, Point, Recorder, StreamReader, Tally, compile_filter, trim
from netsim.errors import NetsimError
from workbench.cli import captures
from workbench.cli.errors import UserError, require_root
from workbench.cli.options import existing, name_option, namespace_option, running
from workbench.cli.packets import JsonLines, TextLines
from workbench.cli.typed import typed
from workbench.cli.world import LiveWorld
from workbench.places import PLACES, AddressBook, NoSuchPlace, points_of_each, select, with_names

EPILOG = """\
Targets: pod/web-0, shop/pod/web-0 (in namespace shop), pod/web-*, deploy/web, sts/db, service/web, policy/deny,
app=web (labels), node/node-1, subnet/default, router, all.

\b
Examples:
  sudo netsim capture pod/web-0                                 packets of a pod, as text
  sudo netsim capture deploy/web node/node-1 --point all -w web.pcapng
  sudo netsim capture service/web --filter 'tcp port 80 and host pod/client'
  sudo netsim capture all -w - | wireshark -k -i -
  sudo netsim capture deploy/web --detach -w web.pcapng; sudo netsim capture list; sudo netsim capture stop --all"""


class CaptureGroup(click.Group):
    """`netsim capture TARGET...`, and `list` and `stop` beside it."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Targets are what it takes most often."""
        return ["[OPTIONS]", "TARGET...  |  list  |  stop [ID]..."]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options of a capture, then the subcommands."""
        start.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """What is no subcommand is a target."""
        if args and args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "", start, args


@click.command("capture")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--point", "places", multiple=True, type=click.Choice(["all", *PLACES]), help="Where; may be repeated.")
@click.option("--filter", "filter_text", default="", metavar="FILTER", help="As for tcpdump; names for addresses work.")
@click.option("-w", "--write", "file", default="", metavar="FILE", help="Write pcapng to a file, or - for a pipe.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of what is shown.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many packets.")
@click.option("--duration", type=click.IntRange(min=1), metavar="SECONDS", help="End after so long.")
@click.option(
    "--snaplen", type=click.IntRange(64, 262144), default=262144, metavar="BYTES", help="Kept of each packet."
)
@click.option("--detach", is_flag=True, help="Go on in the background; needs -w.")
@namespace_option()
@name_option()
def start(
    targets: tuple[str, ...],
    places: tuple[str, ...],
    filter_text: str,
    file: str,
    output: str,
    count: int | None,
    duration: int | None,
    snaplen: int,
    detach: bool,
    namespace: str,
    name: str,
) -> None:
    """Capture packets at the named places."""
    require_root("capture")
    if detach and file in ("", "-"):
        raise UserError("a capture in the background needs a file", "say which: -w FILE")
    points, filter_text, book = _resolved(name, targets, places, filter_text, namespace)
    with _opened(file) as descriptor:
        # Without a file the packets come back here, to be shown.
        reading, writing = (-1, descriptor) if descriptor >= 0 else os.pipe()
        recorder = Recorder(
            points,
            writing,
            cache=CACHE_ROOT,
            cluster=name,
            filter_text=filter_text,
            snaplen=snaplen,
            count=count or 0,
            seconds=duration or 0,
            alone=detach,
            names=book.names,
        )
        try:
            recorder.start()
        except NetsimError as error:
            raise UserError(f"cannot capture: {error}") from error
        if detach:
            started = captures.remember(existing(name), recorder, Path(file), filter_text)
            end = typed("capture", "stop", started, cluster=name)
            where = "1 point" if len(points) == 1 else f"{len(points)} points"
            click.echo(f"capture {started} runs at {where}; end it with: {end}")
            return
        with _stopping(recorder):
            _say_where(points)
            if reading >= 0:
                os.close(writing)
                _show(recorder, reading, output, book)
            else:
                _wait(recorder, None if file == "-" else Path(file))


# Options before the first target are the capture's, and not the group's.
@click.group("capture", cls=CaptureGroup, epilog=EPILOG, context_settings={"ignore_unknown_options": True})
def command() -> None:
    """Capture packets at pods, nodes and the router, in one pcapng on one clock."""


@command.command("list")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of what is shown.")
@name_option()
def list_command(name: str, output: str) -> None:
    """Show the captures in the background."""
    require_root("capture list")
    captures.show(existing(name), output)


@command.command("stop")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="All of the cluster.")
@name_option()
def stop_command(ids: tuple[str, ...], every: bool, name: str) -> None:
    """End captures in the background, and say what they hold."""
    require_root("capture stop")
    captures.stop(existing(name), ids, every=every)


def _resolved(
    name: str, targets: Sequence[str], places: Sequence[str], filter_text: str, namespace: str
) -> tuple[list[Point], str, AddressBook]:
    directories = running(name)
    world = LiveWorld(directories)
    cluster = world.cluster
    try:
        selections = [select(world, cluster, target, namespace) for target in targets]
        points = points_of_each(selections, places, cluster, directories)
        text = with_names(filter_text, lambda said: select(world, cluster, said, namespace), cluster)
        # Before the file is opened: what is in one already is not lost to a slip of the pen.
        compile_filter(text)
        return points, text, AddressBook(world, cluster)
    except NoSuchPlace as error:
        raise UserError(str(error)) from error
    except FilterRejected as error:
        raise UserError(str(error), "the language is that of tcpdump: man pcap-filter") from error
    finally:
        world.close()


@contextmanager
def _opened(file: str) -> Iterator[int]:
    """The descriptor to write to; -1 if there is none."""
    if file == "":
        yield -1
    elif file == "-":
        if sys.stdout.isatty():
            raise UserError("pcapng is nothing for a terminal", "pipe it on: netsim capture … -w - | wireshark -k -i -")
        yield sys.stdout.fileno()
    else:
        try:
            descriptor = os.open(file, os.O_CREAT | os.O_WRONLY, 0o644)
        except OSError as error:
            raise UserError(f"cannot write {file}: {error.strerror}") from error
        try:
            _take_over(descriptor, file)
            yield descriptor
        finally:
            os.close(descriptor)


def _take_over(descriptor: int, file: str) -> None:
    """Empties a file, unless a capture writes to it: the lock is held for as long as that does."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(f"another capture writes to {file}", "see: netsim capture list") from error
    os.ftruncate(descriptor, 0)


def _show(recorder: Recorder, reading: int, output: str, book: AddressBook) -> None:
    with os.fdopen(reading, "rb") as stream:
        reader = StreamReader(stream)
        lines = JsonLines(reader, book) if output == "json" else TextLines(reader, book)
        try:
            for packet in reader:
                click.echo(lines.line(packet))
        except BrokenPipeError:
            recorder.stop()
        _wait(recorder, None)


def _wait(recorder: Recorder, file: Path | None) -> None:
    try:
        tallies = recorder.wait()
    except NetsimError as error:
        if file is not None and file.is_file():
            trim(file)
        raise UserError(f"the capture broke off: {error}") from error
    _say_what(recorder.points, tallies)


@contextmanager
def _stopping(recorder: Recorder) -> Iterator[None]:
    """Signals end the capture and not this program, which has yet to say what came of it."""
    ending = [signal.SIGINT, signal.SIGTERM]
    # Not so under nohup.
    ending += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    previous = {each: signal.signal(each, lambda *_: recorder.end()) for each in ending}
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def _say_where(points: Sequence[Point]) -> None:
    shown = ", ".join(point.name for point in points[:6]) + (", …" if len(points) > 6 else "")
    click.echo(f"capturing at {len(points)} point{'s' * (len(points) > 1)}: {shown}; Ctrl-C ends it", err=True)


def _say_what(points: Sequence[Point], tallies: Sequence[Tally]) -> None:
    written, dropped = sum(tally.written for tally in tallies), sum(tally.dropped for tally in tallies)
    click.echo(f"{written} packets captured, {dropped} dropped by the kernel", err=True)
    for point, tally in zip(points, tallies, strict=True):
        if tally.dropped:
            click.echo(f"  {point.name}: {tally.dropped} of {tally.passed} dropped", err=True)
