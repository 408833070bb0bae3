"""What the API server needs of the node that runs a pod: logs, exec, attach and port-forward.

A real API server dials the kubelet; here the node agents live in the same process, so the cluster
puts each node's `NodeStreams` into one `StreamDirectory` and the server asks that by node name.
This is the contract only. The wire protocols are in `websocket.py`, the containers in
`controlplane.node`; an agent on another host would implement the same Protocol over the network.

The server has already checked that the pod exists, is bound to a node, and has the container.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from controlplane.api.errors import InternalError
from controlplane.api.types import Object

ALL_STREAMS = "All"


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The parameters of `GET pods/NAME/log`.

    `since` is in epoch seconds (the server has turned sinceSeconds and sinceTime into it);
    `tail_lines` counts from the end, before `since` is applied; `limit_bytes` bounds the whole
    answer, and may cut a line. `stream` is "Stdout", "Stderr" or "All", and only "All" where `tail_lines` is set.
    `caller` is the same for the same program of the same person, "" where that is not known.
    """

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since: float | None = None
    limit_bytes: int | None = None
    stream: str = ALL_STREAMS
    caller: str = field(default="", compare=False)

    @property
    def whole(self) -> bool:
        """Whether the whole log of the newest attempt is asked for, as it is now."""
        return self == LogOptions()


@dataclass(frozen=True, slots=True)
class TerminalSize:
    """Rows and columns of the caller's terminal, in characters."""

    width: int
    height: int


Output = Callable[[bytes], Awaitable[None]]
"""Takes one chunk to the caller; returns when there is room for more, so awaiting it is flow
control. Raises ConnectionError once the caller has gone."""


@dataclass(frozen=True, slots=True)
class ProcessStreams:
    """The caller's ends of a process in a container. What the caller did not ask for is None.

    `stdin` ends when the caller closes it (the process then sees end of file, except on a
    terminal, where nothing happens). With `tty`, `stderr` is None and everything goes to `stdout`.
    `resize` yields the first size soon after the start, and ends with the connection; it is None
    without `tty`. `caller` is that of `LogOptions`.
    """

    tty: bool
    stdin: AsyncIterator[bytes] | None
    stdout: Output | None
    stderr: Output | None
    resize: AsyncIterator[TerminalSize] | None
    caller: str = ""


class NodeStreams(Protocol):
    """One node's side. Everything raises `ApiError`s, with the kubelet's wording, before the first byte.

    When the caller goes away the server cancels the call; the implementation lets go of every
    resource, and an exec'ed process is killed.
    """

    def logs(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Chunks of the container's log, standard output and error in the order written.

        With `follow` it goes on until the container has ended for good. BadRequest where there
        is no log yet: 'container "C" in pod "P" is waiting to start: ContainerCreating', or
        'previous terminated container "C" in pod "P" not found'.
        """
        ...

    async def exec(self, pod: Object, container: str, command: list[str], streams: ProcessStreams) -> int:
        """Runs `command` in the running container; returns its exit status (128 + N for signal N)
        after all its output has been handed over.

        BadRequest or InternalError when the container does not run or the command cannot be
        started; the message is what kubectl prints.
        """
        ...

    async def attach(self, pod: Object, container: str, streams: ProcessStreams) -> None:
        """Joins the container's main process until that ends; its exit status is in the pod's.

        Who is the first at a container that was started just now gets all of its output that he has not read by
        `logs`, also when it has ended.
        """
        ...

    async def port_forward(self, pod: Object, port: int, data: AsyncIterator[bytes], send: Output) -> None:
        """One TCP connection to `port` on the pod's localhost: `data` goes in, what comes back is
        sent; returns when that has ended. InternalError when nothing listens."""
        ...


class StreamDirectory:
    """Node name to that node's streams; filled by the cluster, read by the server."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeStreams] = {}

    def register(self, node_name: str, streams: NodeStreams) -> None:
        """Makes a node's streams known; a later registration replaces an earlier one."""
        self._nodes[node_name] = streams

    def unregister(self, node_name: str) -> None:
        """Forgets a node; nothing happens if it is not known."""
        self._nodes.pop(node_name, None)

    def for_node(self, node_name: str) -> NodeStreams:
        """The streams of a node; InternalError when no agent of that name runs."""
        streams = self._nodes.get(node_name)
        if streams is None:
            raise InternalError(f'error dialing backend: no agent is running for node "{node_name}"')
        return streams
