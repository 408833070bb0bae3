"""The programs of the host's busybox: stand-ins find them in PATH after the host's own.

What a manifest written for busybox or alpine calls, such as nslookup, is so there on a host that has not installed it.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

from controlplane.node.runtime.oci import DEFAULT_PATH

LIST_SECONDS = 10.0
NSLOOKUP = "nslookup"
SEARCHING = Path(__file__).parent.parent / "standin" / "nslookup.sh"
"""busybox's own has forgotten the search list since 1.29."""


@functools.cache
def busybox() -> str | None:
    """Where it is on this host, below /usr, which is what stand-ins have of it; None if it is not installed."""
    found = shutil.which("busybox", path=DEFAULT_PATH)
    real = str(Path(found).resolve()) if found else ""
    return real if real.startswith("/usr/") else None


@functools.cache
def applets() -> frozenset[str]:
    """The names of its programs; none without it."""
    program = busybox()
    if program is None:
        return frozenset()
    ran = subprocess.run([program, "--list"], capture_output=True, text=True, timeout=LIST_SECONDS, check=False)
    return frozenset(ran.stdout.split())


def link(directory: Path) -> None:
    """Makes the directory, with a link to busybox for each of its programs; for nslookup, one that searches."""
    directory.mkdir()
    program = busybox()
    for name in applets() - {NSLOOKUP}:
        (directory / name).symlink_to(str(program))
    if NSLOOKUP in applets():
        (directory / NSLOOKUP).write_text(SEARCHING.read_text().replace("/usr/bin/busybox", str(program)))
        (directory / NSLOOKUP).chmod(0o755)
