"""Network namespaces with a name and a mark, and threads that live inside one.

A namespace is made by `unshare` in a thread, never by a child process: a fork of a daemon costs more than
all the rest. It is pinned under /run/netns just as `ip netns` does, so `ip netns list` and `ip netns exec`
know it, and its `lo` is marked and up before the pin makes it visible: an unmarked one is never left behind.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from netsim import link, pins, syscalls
from netsim.errors import AlreadyExists, NotFound, translated
from netsim.mark import Mark
from netsim.netlink import Netlink
from netsim.pins import NETNS_DIR, namespace_path

if TYPE_CHECKING:
    from concurrent.futures import Future

P = ParamSpec("P")
T = TypeVar("T")

_OWN_NET = "/proc/thread-self/ns/net"

__all__ = [
    "NETNS_DIR",
    "NamespaceExecutor",
    "NamespacePins",
    "create_namespace",
    "delete_namespace",
    "ensure_namespace",
    "entered",
    "entered_descriptor",
    "exists",
    "find_mark",
    "list_names",
    "namespace_path",
    "read_mark",
]


@dataclass(frozen=True, slots=True)
class NamespacePins:
    """The files that keep a set of namespaces alive. `uts` and `ipc` are None where only `net` was asked for."""

    net: Path
    uts: Path | None = None
    ipc: Path | None = None


def create_namespace(
    name: str, mark: Mark, *, pin_dir: Path | None = None, hostname: str | None = None
) -> NamespacePins:
    """Makes a network namespace, pinned as /run/netns/`name`, its `lo` up and marked.

    With `pin_dir` a uts namespace (holding `hostname`) and an ipc namespace are pinned there as `uts` and
    `ipc`. Raises `AlreadyExists` if the name is taken. The calling thread is back where it was afterwards.
    """
    target = namespace_path(name)
    if pins.is_pinned(target):
        raise AlreadyExists(f"create namespace {name}", errno.EEXIST)
    with ExitStack() as undo:
        if pin_dir is not None:
            with translated(f"make {pin_dir}"):
                pin_dir.mkdir(parents=True, exist_ok=True)
            _unshare_and_pin(syscalls.CLONE_NEWUTS, "uts", pin_dir / "uts", undo, hostname)
            _unshare_and_pin(syscalls.CLONE_NEWIPC, "ipc", pin_dir / "ipc", undo)
        with _home(syscalls.CLONE_NEWNET, "net"):
            syscalls.unshare(syscalls.CLONE_NEWNET)
            with Netlink() as netlink:
                netlink.send(link.change("lo", up=True, alias=mark.alias()))
            with pins.netns_directory_held():
                pins.pin(_OWN_NET, target, mark.alias())
        undo.pop_all()
    return _pins(target, pin_dir)


def ensure_namespace(
    name: str, mark: Mark, *, pin_dir: Path | None = None, hostname: str | None = None
) -> NamespacePins:
    """`create_namespace`, or the one that is there if all of it is and carries this very mark."""
    target = namespace_path(name)
    wanted = _pins(target, pin_dir)
    if pins.is_pinned(target):
        if read_mark(target) == mark and all(pins.is_pinned(pin) for pin in (wanted.uts, wanted.ipc) if pin):
            return wanted
        raise AlreadyExists(
            f"create namespace {name}", errno.EEXIST, "there is one of another owner or with parts missing"
        )
    return create_namespace(name, mark, pin_dir=pin_dir, hostname=hostname)


def delete_namespace(name: str, *, pin_dir: Path | None = None) -> None:
    """Takes the pins away, and with the last of its processes the namespace is gone; absent is no error."""
    found = _pins(namespace_path(name), pin_dir)
    for pin in (found.net, found.uts, found.ipc):
        if pin is not None:
            pins.unpin(pin)


def read_mark(path: Path) -> Mark | None:
    """The mark of the namespace pinned at `path`, or None if it is not ours. Raises `NotFound`."""
    with entered(path), Netlink() as netlink:
        return Mark.parse(link.get_loopback(netlink).alias)


@contextmanager
def entered(path: Path | str) -> Iterator[None]:
    """The calling thread is in the network namespace at `path` inside the block, and back where it was after it."""
    with syscalls.opened(str(path)) as inside, entered_descriptor(inside):
        yield


@contextmanager
def entered_descriptor(descriptor: int) -> Iterator[None]:
    """The same for a namespace that `descriptor` is open on."""
    with _home(syscalls.CLONE_NEWNET, "net"):
        syscalls.setns(descriptor, syscalls.CLONE_NEWNET)
        yield


class NamespaceExecutor:
    """One named thread that lives inside a network namespace.

    Sockets made and programs started by what runs in it belong to the namespace. The thread enters when it
    first has something to do; if the namespace is not there yet, that call raises `NotFound` and the next tries again.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._inside = False
        self._netlink: Netlink | None = None
        # Not for the many who only enter namespaces: with logging, which it brings, it takes 8 ms to load.
        from concurrent.futures import ThreadPoolExecutor

        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Runs `function` in the namespace after what was submitted before."""
        return self._pool.submit(self._call, function, *args, **kwargs)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Awaits `function` run in the namespace."""
        # What only makes namespaces, as a CNI plugin does, does not load this.
        import asyncio

        return await asyncio.wrap_future(self.submit(function, *args, **kwargs))

    def netlink(self) -> Netlink:
        """The namespace's netlink socket, opened once; only for functions that run in this executor."""
        if not self._inside:
            raise RuntimeError(f"thread {threading.current_thread().name} is not in {self.path}")
        if self._netlink is None:
            self._netlink = Netlink()
        return self._netlink

    def close(self) -> None:
        """Ends the thread after what was submitted before, and lets go of the namespace."""
        self._pool.shutdown(wait=True)
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def _call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._inside:
            with syscalls.opened(str(self.path)) as descriptor:
                syscalls.setns(descriptor, syscalls.CLONE_NEWNET)
            self._inside = True
        return function(*args, **kwargs)


def _pins(target: Path, pin_dir: Path | None) -> NamespacePins:
    if pin_dir is None:
        return NamespacePins(target)
    return NamespacePins(target, pin_dir / "uts", pin_dir / "ipc")


def _unshare_and_pin(kind: int, word: str, target: Path, undo: ExitStack, hostname: str | None = None) -> None:
    with _home(kind, word):
        syscalls.unshare(kind)
        if hostname is not None:
            syscalls.sethostname(hostname)
        if pins.is_pinned(target):
            pins.unpin(target)
        pins.pin(f"/proc/thread-self/ns/{word}", target)
    undo.callback(pins.unpin, target)


@contextmanager
def _home(kind: int, word: str) -> Iterator[None]:
    with syscalls.opened(f"/proc/thread-self/ns/{word}") as before:
        try:
            yield
        finally:
            syscalls.setns(before, kind)


def exists(name: str) -> bool:
    """Whether a namespace of that name is pinned."""
    return pins.is_pinned(namespace_path(name))


def find_mark(name: str) -> Mark | None:
    """The mark of the namespace of that name, or None if there is none or it is not ours."""
    try:
        return read_mark(namespace_path(name))
    except NotFound:
        return None


def list_names() -> list[str]:
    """The names under /run/netns, ours and others', pinned or stale."""
    with translated(f"list {NETNS_DIR}"):
        return sorted(os.listdir(NETNS_DIR)) if NETNS_DIR.exists() else []
