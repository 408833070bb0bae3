"""Mount namespaces that are pinned, from whichever mount namespace and on whichever CPU they are made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MAKE = """
import os, sys
from pathlib import Path
from netsim.mountspace import MountSpace
allowed = os.sched_getaffinity(0)
host = os.readlink("/proc/thread-self/ns/mnt")
MountSpace(Path(sys.argv[1])).enter()
assert os.readlink("/proc/thread-self/ns/mnt") != host
assert os.sched_getaffinity(0) == allowed
"""


@pytest.mark.parametrize("cpu", sorted(os.sched_getaffinity(0)))
def test_it_is_pinned_in_a_private_namespace_made_on_any_cpu(cpu: int, tmp_path: Path) -> None:
    pin = tmp_path / "mounts" / "pin"
    # taskset is for the outer namespace only: what is made in it may run on every CPU, as the daemon does.
    command = ["sh", "-c", 'mount --make-rprivate / && taskset -pa "$1" $$ > /dev/null && shift && exec "$@"', "sh"]
    mask = f"{sum(1 << number for number in os.sched_getaffinity(0)):x}"
    inner = [sys.executable, "-c", MAKE, str(pin)]
    ran = subprocess.run(
        ["taskset", "-c", str(cpu), "unshare", "-m", *command, mask, *inner],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
