"""Whether addresses answer, tried for real from inside a network namespace; all attempts of a namespace at once.

It says what the socket saw. Why a packet was lost on its way is not known here.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netsim import echo, namespace

Protocol = Literal["tcp", "udp", "icmp"]
Result = Literal["ok", "refused", "timed out", "no route", "failed"]

AT_ONCE = 200
"""Attempts under way at the same time from one namespace."""
_STOP_SECONDS = 0.5
"""How long it takes at most until an end that was asked for is noticed."""
_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH)
_DATA = b"netsim reach"
"""As long as a DNS header: a name server says that it does not understand this, which is an answer."""


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


def attempt_all(
    path: Path, attempts: Sequence[Attempt], seconds: float, *, stop: threading.Event | None = None
) -> list[Outcome]:
    """Tries all addresses from the namespace at `path`, each for `seconds` at most; outcomes in the same order.

    Once `stop` is set, what has not answered has "timed out".
    """
    outcomes: list[Outcome] = []
    with namespace.entered(path):
        for start in range(0, len(attempts), AT_ONCE):
            outcomes += _attempt(attempts[start : start + AT_ONCE], seconds, stop or threading.Event())
    return outcomes


def _attempt(attempts: Sequence[Attempt], seconds: float, stop: threading.Event) -> list[Outcome]:
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
        while waiting and (left := began + seconds - time.monotonic()) > 0 and not stop.is_set():
            for descriptor, _ in poll.poll(min(left, _STOP_SECONDS) * 1000):
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
            opened.send(_DATA)
        elif attempt.protocol == "icmp":
            opened.send(echo.request(*_numbers(number), _DATA))
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
        if attempt.protocol == "icmp" and not echo.is_reply(answer, *_numbers(number)):
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


def _numbers(number: int) -> tuple[int, int]:
    """Identifier and sequence of the echo request of an attempt."""
    return (os.getpid() + number) & 0xFFFF, number & 0xFFFF
