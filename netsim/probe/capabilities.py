"""Which capabilities the host can hand on to containers: nobody gets one that is not in the caller's bounding set.

A machine has them all. A container that stands for one often lacks some, and what runs in it cannot have those either.
"""

from __future__ import annotations

from pathlib import Path

from netsim.probe.check import Check

_KNOWN = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE"
    " NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT"
    " SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL"
    " SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
_USUAL = (
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID"
    " SYS_CHROOT"
)
CAPABILITIES = tuple(f"CAP_{name}" for name in _KNOWN.split())
"""In the kernel's order: the place is the bit's number in a set (linux/capability.h)."""
DEFAULT = frozenset(f"CAP_{name}" for name in _USUAL.split())
"""What a container has whose manifest says nothing, as container runtimes give it."""
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
