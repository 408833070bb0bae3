"""Signals by the names that manifests and images use: SIGTERM, TERM, 15, SIGRTMIN+3."""

from __future__ import annotations

import re
import signal

_REAL_TIME = re.compile(r"RTM(IN|AX)([+-]\d+)?")


def number_of(text: str) -> int:
    """The number of a signal; that of SIGTERM where the text names none."""
    name = text.strip().upper().removeprefix("SIG")
    if name.isdigit():
        return int(name) if 0 < int(name) < signal.NSIG else int(signal.SIGTERM)
    real_time = _REAL_TIME.fullmatch(name)
    if real_time:
        base = signal.SIGRTMIN if real_time[1] == "IN" else signal.SIGRTMAX
        number = int(base) + int(real_time[2] or 0)
        return number if signal.SIGRTMIN <= number <= signal.SIGRTMAX else int(signal.SIGTERM)
    found = signal.Signals.__members__.get(f"SIG{name}")
    return int(found or signal.SIGTERM)
