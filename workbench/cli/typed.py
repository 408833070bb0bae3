"""Commands as they are printed for a person to type: as this person calls netsim, with all that it takes.

Not for `--help`, whose examples are the same for everybody.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys

PROGRAM = "netsim"
NAME_VARIABLE = "NETSIM_NAME"
SECURE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where sudo looks for programs, as distributions set it up; the caller's PATH does not count there."""


def typed(*words: str, cluster: str = "") -> str:
    """`sudo netsim WORDS`, with `--name` where the cluster needs it, and with `sudo` where the caller does."""
    from controlplane.config import DEFAULT_NAME  # not for `--help`, which must be fast

    option = ["--name", cluster] if cluster not in ("", DEFAULT_NAME) else []
    return shlex.join([*(["sudo"] if by_sudo() else []), _program(), *words, *option])


def typed_again() -> str:
    """The command line that runs now, behind sudo, which hides the caller's variables."""
    kept = [f"--preserve-env={NAME_VARIABLE}"] if os.environ.get(NAME_VARIABLE) else []
    return shlex.join(["sudo", *kept, _program(), *sys.argv[1:]])


def by_sudo() -> bool:
    """Whether the caller is root by sudo, or is not root."""
    return os.geteuid() != 0 or bool(os.environ.get("SUDO_UID"))


def _program() -> str:
    """How to call this program again: by its name where that finds it, else by its path, from here if that is short."""
    called = sys.argv[0]
    if os.path.basename(called) != PROGRAM:
        return PROGRAM
    found = shutil.which(PROGRAM, path=SECURE_PATH if by_sudo() else None)
    if found is not None and os.path.samefile(found, called):
        return PROGRAM
    try:
        return min(os.path.relpath(called), os.path.abspath(called), key=len)
    except FileNotFoundError:
        return called  # the current directory is gone
