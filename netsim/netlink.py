"""One rtnetlink socket: several requests in one send, answers read back, errno turned into errors.

A socket belongs to the network namespace of the thread that opens it and stays there, so one per
namespace is held as long as work goes on, whatever namespace the thread visits meanwhile. Nothing here
knows links or routes; see `netsim.link`, `netsim.address` and `netsim.route` for what the requests say.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from netsim.errors import kernel_error, translated

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLM_F_DUMP_INTR = 0x10

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLM_F_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200
_NLMSGERR_ATTR_MSG = 1
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12

_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i16x")
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF

_LONGEST_BATCH = 64
"""Requests in one send; their answers have to fit into the socket's receive buffer."""
_RECEIVE_BYTES = 1 << 15
"""What the kernel puts into one part of a dump at most."""
_ANSWER_SECONDS = 30
_DUMP_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Request:
    """One encoded message. `accept` are errnos that mean that it is already as wanted."""

    message: bytes
    what: str
    accept: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Answer:
    """One message from the kernel, its netlink header taken off."""

    kind: int
    body: bytes


def attributes(body: bytes, offset: int) -> dict[int, bytes]:
    """The netlink attributes that start at `offset`, by type; of a repeated type the last."""
    return dict(iterate_attributes(body, offset))


def iterate_attributes(body: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """The netlink attributes that start at `offset`, in order, flags taken off their types."""
    end = len(body)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < 4:
            return
        yield kind & _TYPE_MASK, body[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def text(value: bytes) -> str:
    """A string attribute without its closing zero."""
    return value.rstrip(b"\0").decode(errors="replace")


class Netlink:
    """A socket to the rtnetlink of one network namespace. May be used by several threads in turn."""

    def __init__(self) -> None:
        with translated("open a netlink socket"):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            self._socket.bind((0, 0))
            for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _ANSWER_SECONDS, 0))
        self._sequence = 0
        self._lock = threading.Lock()

    def send(self, *requests: Request) -> None:
        """Sends requests in order and waits until all are done.

        The kernel works through the whole batch whatever fails in it; afterwards the first failure is
        raised as its `KernelError`.
        """
        with self._lock:
            for start in range(0, len(requests), _LONGEST_BATCH):
                self._send_batch(requests[start : start + _LONGEST_BATCH])

    def get(self, request: Request) -> Answer:
        """The one object that a request without `NLM_F_DUMP` asks for."""
        with self._lock:
            self._transmit([self._stamped(request, 0)])
            for kind, _flags, sequence, body in self._receive():
                if sequence != self._sequence:
                    continue
                if kind == _NLMSG_ERROR:
                    self._raise(request, body, _flags)
                return Answer(kind, body)
        raise kernel_error(request.what, errno.EPROTO)

    def dump(self, request: Request) -> list[Answer]:
        """All objects that a request with `NLM_F_DUMP` asks for; asked again if they changed meanwhile."""
        with self._lock:
            for _ in range(_DUMP_ATTEMPTS):
                answers = self._dump_once(request)
                if answers is not None:
                    return answers
        raise kernel_error(request.what, errno.EAGAIN, "what was asked for kept changing")

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _send_batch(self, requests: tuple[Request, ...]) -> None:
        first = self._sequence + 1
        # Failures are always answered; success only for the last, which the kernel comes to when all else is done.
        messages = [self._stamped(request, 0) for request in requests[:-1]]
        messages.append(self._stamped(requests[-1], NLM_F_ACK))
        self._transmit(messages)
        failure: tuple[Request, bytes, int] | None = None
        for kind, flags, sequence, body in self._receive():
            if kind != _NLMSG_ERROR or sequence < first:
                continue
            request = requests[sequence - first]
            code = -_ERROR.unpack_from(body)[0]
            if code and code not in request.accept and failure is None:
                failure = (request, body, flags)
            if sequence == self._sequence:
                break
        if failure is not None:
            self._raise(*failure)

    def _dump_once(self, request: Request) -> list[Answer] | None:
        self._transmit([self._stamped(request, NLM_F_DUMP)])
        answers: list[Answer] = []
        whole = True
        for kind, flags, sequence, body in self._receive():
            if sequence != self._sequence:
                continue
            whole = whole and not flags & NLM_F_DUMP_INTR
            if kind == _NLMSG_ERROR or (kind == _NLMSG_DONE and len(body) >= 4 and _ERROR_CODE.unpack_from(body)[0]):
                self._raise(request, body, flags)
            if kind == _NLMSG_DONE:
                break
            answers.append(Answer(kind, body))
        return answers if whole else None

    def _stamped(self, request: Request, flags: int) -> bytearray:
        self._sequence = (self._sequence + 1) & 0x7FFFFFFF
        message = bytearray(request.message)
        length, kind, own_flags, _, _ = _HEADER.unpack_from(message)
        _HEADER.pack_into(message, 0, length, kind, own_flags | NLM_F_REQUEST | flags, self._sequence, 0)
        message.extend(bytes(-length % 4))
        return message

    def _transmit(self, messages: list[bytearray]) -> None:
        with translated("send to netlink"):
            self._socket.send(messages[0] if len(messages) == 1 else b"".join(messages))

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        while True:
            with translated("read from netlink"):
                data = self._socket.recv(_RECEIVE_BYTES)
            offset = 0
            while offset + 16 <= len(data):
                length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
                yield kind, flags, sequence, data[offset + 16 : offset + length]
                offset += (length + 3) & ~3

    def _raise(self, request: Request, body: bytes, flags: int) -> None:
        code = -_ERROR_CODE.unpack_from(body)[0]
        detail = ""
        if flags & _NLM_F_ACK_TLVS and len(body) >= 20:
            echoed = 16 if flags & _NLM_F_CAPPED else _HEADER.unpack_from(body, 4)[0]
            found = attributes(body, 4 + ((echoed + 3) & ~3)).get(_NLMSGERR_ATTR_MSG)
            detail = text(found) if found else ""
        raise kernel_error(request.what, code or errno.EPROTO, detail.rstrip(".")) from OSError(code, os.strerror(code))


_ERROR_CODE = struct.Struct("=i")
