"""Whether addresses answer, tried for real from inside a network namespace; all attempts of a namespace at once.

It says what the socket saw. Why a packet was lost on its way is not known here.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netsim import namespace

Protocol = Literal["tcp", "udp", "icmp"]
Result = Literal["ok", "refused", "timed out", "no route", "failed"]

AT_ONCE = 200
"""Attempts under way at the same time from one namespace."""
_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH)
_ECHO_REQUEST, _ECHO_REPLY = 8, 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One address to try; `port` is not looked at for ICMP."""

    address: str
    port: int
    protocol: Protocol = "tcp"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, in how many seconds. A datagram that nobody answers has "timed out"."""

    result: Result
    seconds: float
    detail: str = ""


def attempt_all(path: Path, attempts: Sequence[Attempt], seconds: float) -> list[Outcome]:
    """Tries all addresses from the namespace at `path`, each for `seconds` at most; outcomes in the same order."""
    outcomes: list[Outcome] = []
    with namespace.entered(path):
        for start in range(0, len(attempts), AT_ONCE):
            outcomes += _attempt(attempts[start : start + AT_ONCE], seconds)
    return outcomes


def _attempt(attempts: Sequence[Attempt], seconds: float) -> list[Outcome]:
    found: dict[int, Outcome] = {}
    waiting: dict[int, tuple[int, socket.socket]] = {}
    began = time.monotonic()
    with ExitStack() as stack:
        poll = select.poll()
        for number, attempt in enumerate(attempts):
            try:
                opened = stack.enter_context(_open(attempt, number))
            except OSError as error:
                found[number] = _failed(error, began)
                continue
            waiting[opened.fileno()] = (number, opened)
            poll.register(opened, select.POLLOUT if attempt.protocol == "tcp" else select.POLLIN)
        while waiting and (left := began + seconds - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                number, opened = waiting[descriptor]
                outcome = _outcome(attempts[number], opened, number, began)
                if outcome is not None:
                    found[number] = outcome
                    poll.unregister(descriptor)
                    del waiting[descriptor]
    missing = Outcome("timed out", seconds)
    return [found.get(number, missing) for number in range(len(attempts))]


def _open(attempt: Attempt, number: int) -> socket.socket:
    if attempt.protocol == "icmp":
        opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    else:
        kind = socket.SOCK_STREAM if attempt.protocol == "tcp" else socket.SOCK_DGRAM
        opened = socket.socket(socket.AF_INET, kind)
    try:
        opened.setblocking(False)
        code = opened.connect_ex((attempt.address, attempt.port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        if attempt.protocol == "udp":
            opened.send(b"\n")
        elif attempt.protocol == "icmp":
            opened.send(_echo(number))
    except BaseException:
        opened.close()
        raise
    return opened


def _outcome(attempt: Attempt, opened: socket.socket, number: int, began: float) -> Outcome | None:
    """What a socket that has something to say says; None if it was not about this attempt."""
    code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        return _failed(OSError(code, os.strerror(code)), began)
    if attempt.protocol != "tcp":
        try:
            answer = opened.recv(2048)
        except BlockingIOError:
            return None
        except OSError as error:
            return _failed(error, began)
        if attempt.protocol == "icmp" and not _is_reply(answer, number):
            return None
    return Outcome("ok", time.monotonic() - began)


def _failed(error: OSError, began: float) -> Outcome:
    took = time.monotonic() - began
    if error.errno == errno.ECONNREFUSED:
        return Outcome("refused", took)
    if error.errno in _NO_ROUTE:
        return Outcome("no route", took)
    if error.errno == errno.ETIMEDOUT:
        return Outcome("timed out", took)
    return Outcome("failed", took, error.strerror or str(error))


def _echo(number: int) -> bytes:
    body = b"netsim reach"
    identifier = (os.getpid() + number) & 0xFFFF
    head = struct.pack(">BBHHH", _ECHO_REQUEST, 0, 0, identifier, number & 0xFFFF)
    return struct.pack(">BBHHH", _ECHO_REQUEST, 0, _checksum(head + body), identifier, number & 0xFFFF) + body


def _is_reply(packet: bytes, number: int) -> bool:
    head = (packet[0] & 0xF) * 4
    if len(packet) < head + 8:
        return False
    kind, _, _, identifier, sequence = struct.unpack_from(">BBHHH", packet, head)
    wanted = ((os.getpid() + number) & 0xFFFF, number & 0xFFFF)
    return kind == _ECHO_REPLY and (identifier, sequence) == wanted


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
