"""Which capabilities the host can hand on to containers: nobody gets one that is not in the caller's bounding set.

A machine has them all. A container that stands for one often lacks some, and what runs in it cannot have those either.
"""

from __future__ import annotations

from pathlib import Path

from netsim.capabilities import CAPABILITIES, DEFAULT
from netsim.probe.check import Check

_LAST = Path("/proc/sys/kernel/cap_last_cap")
_STATUS = Path("/proc/self/status")


def capabilities() -> list[Check]:
    """A check for what every container has, and one for what privileged containers have besides; neither required."""
    bounding = next(int(line.split()[1], 16) for line in _STATUS.read_text().splitlines() if line.startswith("CapBnd:"))
    return judged(bounding, last=int(_LAST.read_text()))


def judged(bounding: int, *, last: int) -> list[Check]:
    """The checks for a bounding set; `last` is the number of the last capability that the kernel knows."""
    missing = [name for bit, name in enumerate(CAPABILITIES[: last + 1]) if not bounding >> bit & 1]
    return [
        _check("capabilities of containers", [name for name in missing if name in DEFAULT], "containers"),
        _check(
            "capabilities of privileged containers",
            [name for name in missing if name not in DEFAULT],
            "privileged containers, and for those that add them",
        ),
    ]


def _check(name: str, missing: list[str], whose: str) -> Check:
    return Check(
        name=name,
        ok=not missing,
        found=f"the bounding set lacks {', '.join(missing)}" if missing else "all there",
        needed=f"for {whose}, which else run without",
        remedy=f"outside of a container nothing is missing; for Docker: --cap-add={' --cap-add='.join(missing)}"
        if missing
        else "none needed",
        required=False,
    )
