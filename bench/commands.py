"""Commands that benchmarks run and wait for; one that fails ends the benchmark with all its words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LIMIT_SECONDS = 120


def output(*argv: str) -> str:
    """What a program prints. Raises RuntimeError when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(argv)}` exited with status {done.returncode}:\n{done.stderr}{done.stdout}")
    return done.stdout


def netsim(cluster: str, command: str, *options: str) -> str:
    """What `netsim COMMAND --name CLUSTER` prints; `down` of nothing is no failure."""
    return output(str(Path(sys.executable).with_name("netsim")), command, "--name", cluster, *options)
