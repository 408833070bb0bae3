"""Our plugins as executables in a directory, for anyone who speaks CNI."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from cni import plugins
from netsim import files

_SCRIPT = """#!/bin/sh
exec {python} -IS -c {code} {name}
"""
_CODE = "import sys; sys.path.insert(0, {path!r}); from cni.plugins.runner import main; main(sys.argv[1])"


def ensure_executables(directory: Path) -> list[Path]:
    """Writes a script for each of our plugins that runs it under this Python, unless it is there."""
    directory.mkdir(parents=True, exist_ok=True)
    made = []
    for name in plugins.MODULES:
        path = directory / name
        if not (is_ours(path, name) and os.access(path, os.X_OK)):
            files.replace(path, _script(name), mode=0o755)
        made.append(path)
    return made


def is_ours(path: Path, name: str) -> bool:
    """Whether the executable at `path` is our plugin of that name, run by this Python."""
    try:
        return files.read(path) == _script(name)
    except (FileNotFoundError, IsADirectoryError):
        return False


def _script(name: str) -> bytes:
    # Python looks for what is installed at each start; told where it is, it starts in half the time.
    code = shlex.quote(_CODE.format(path=str(Path(plugins.__file__).parent.parent.parent)))
    return _SCRIPT.format(python=shlex.quote(sys.executable), code=code, name=name).encode()
