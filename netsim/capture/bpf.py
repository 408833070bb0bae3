"""Filters in the language of pcap-filter(7), compiled to the instructions that the kernel runs.

By the program tcpdump, so that what is understood here is exactly what is understood there.
"""

from __future__ import annotations

import struct
import subprocess

from netsim import programs
from netsim.errors import NetsimError

SNAPLEN = 262144
_LIMIT_SECONDS = 20
_INSTRUCTION = struct.Struct("=HBBI")


class FilterRejected(NetsimError):
    """The text is no filter; the message has tcpdump's own words."""


def compile_filter(text: str, *, snaplen: int = SNAPLEN) -> bytes:
    """The program (`struct sock_filter[]`) of a filter for Ethernet; it keeps `snaplen` bytes of what it takes.

    An empty text takes everything. Raises `FilterRejected`.
    """
    argv = [
        programs.require("tcpdump", "tcpdump"),
        "-ddd",
        "-y",
        "EN10MB",
        "-s",
        str(snaplen),
        "--",
        *([text] if text else []),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
    if done.returncode != 0:
        said = [line.removeprefix("tcpdump: ") for line in done.stderr.splitlines() if line.startswith("tcpdump: ")]
        raise FilterRejected(f"filter {text!r}: {'; '.join(said) or done.stderr.strip()}")
    instructions = [tuple(map(int, line.split())) for line in done.stdout.splitlines()[1:]]
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in instructions)
