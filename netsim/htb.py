"""What tc is told of one class of an htb: its number, its limits, and the queue in it. Runs nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Container

CLASSES = 0xFFFE
"""Classes are numbered from 1 to this."""
_UNLIMITED = 100_000_000_000
_BURST_SECONDS = 0.002
_SMALLEST_BURST = 16_000
_QUEUE_SECONDS = 0.1
_SMALLEST_QUEUE = 262_144
_NETEM_PACKETS = 100_000


def number_of(name: str) -> int:
    """A class number that is made of a name, so that it is the same every time; two names seldom have the same."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % CLASSES + 1


def free_number_of(name: str, taken: Container[int]) -> int:
    """That number, or the next one that is not taken."""
    number = number_of(name)
    while number in taken:
        number = number % CLASSES + 1
    return number


def limits(rate: int) -> str:
    """`rate` in bits a second; 0 is as fast as can be."""
    rate = rate or _UNLIMITED
    burst = max(int(rate / 8 * _BURST_SECONDS), _SMALLEST_BURST)
    return f"rate {rate}bit burst {burst} cburst {burst}"


def queue(*, rate: int = 0, delay: int = 0, jitter: int = 0, loss: float = 0.0) -> str:
    """`delay` and `jitter` in microseconds, `loss` in percent; with any of them it takes netem."""
    if not (delay or jitter or loss):
        return f"bfifo limit {max(int(rate / 8 * _QUEUE_SECONDS), _SMALLEST_QUEUE)}"
    late = f" delay {delay}us" if delay or jitter else ""
    late += f" {jitter}us" if jitter else ""
    return f"netem limit {_NETEM_PACKETS}{late}" + (f" loss {loss:g}%" if loss else "")
