"""Our plugins as executables in a directory, for anyone who speaks CNI."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path

from cni import plugins
from netsim import files

_SCRIPT = """#!/bin/sh
exec {python} -IS -c {code} {name}
"""
_CODE = "import sys; sys.path[:0] = {path}; from cni.plugins.runner import main; main(sys.argv[1])"


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
    packages = ("cni", "pyroute2")
    found = [spec.submodule_search_locations for each in packages if (spec := importlib.util.find_spec(each))]
    path = list(dict.fromkeys(str(Path(next(iter(each))).parent) for each in found if each))
    code = shlex.quote(_CODE.format(path=path))
    return _SCRIPT.format(python=shlex.quote(sys.executable), code=code, name=name).encode()
