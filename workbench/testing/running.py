"""Commands that tests run and wait for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

LIMIT_SECONDS = 120.0


class CommandRefused(subprocess.CalledProcessError):
    """A command ended with a status other than 0; the text has all that it said."""

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.stdout}{self.stderr}"


def run(argv: Sequence[str], *, stdin: str | None = None, timeout: float = LIMIT_SECONDS) -> str:
    """What a command prints. Raises `CommandRefused`, `TimeoutExpired` after `timeout` seconds."""
    environment = {**os.environ, "KUBECTL_KUBERC": "false"}
    done = subprocess.run(
        list(argv), input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=environment
    )
    if done.returncode != 0:
        raise CommandRefused(done.returncode, list(argv), done.stdout, done.stderr)
    return done.stdout
