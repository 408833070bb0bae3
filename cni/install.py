"""Our plugins as executables in a directory, for anyone who speaks CNI."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from cni import plugins
from netsim import files


def ensure_executables(directory: Path) -> list[Path]:
    """Writes a script for each of our plugins that runs it under this Python, unless it is there."""
    directory.mkdir(parents=True, exist_ok=True)
    made = []
    for name, module in plugins.MODULES.items():
        path = directory / name
        text = f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m {module}\n".encode()
        if not (path.is_file() and path.read_bytes() == text and os.access(path, os.X_OK)):
            files.replace(path, text, mode=0o755)
        made.append(path)
    return made
