"""Programs: those of the host by name, and small C programs that come with netsim as source and are built here once."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from netsim.errors import CommandFailed, MissingRequirement

PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
"""Where the host's programs are looked for, whatever PATH the caller has."""
_LIMIT_SECONDS = 60


def require(name: str, package: str) -> str:
    """The path of a program of the host. Raises `MissingRequirement`, which names the Debian package."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise MissingRequirement(f"no program {name}", f"install the package {package}")
    return found


def build(source: Path, target: Path, *options: str) -> None:
    """Compiles a C file.

    Raises `MissingRequirement` without a compiler, `CommandFailed` with its words.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise MissingRequirement("no C compiler", "install the packages gcc and libc6-dev")
    argv = [compiler, "-O2", *options, "-o", str(target), str(source)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(argv, -1, stderr=f"still running after {_LIMIT_SECONDS} s, and killed") from error
    if done.returncode != 0:
        raise CommandFailed(argv, done.returncode, stderr=done.stderr)


def ensure_built(source: Path, cache: Path) -> Path:
    """The program of a C file, built into `cache` if that very text was not built before. Raises as `build`."""
    key = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    target = cache / f"{source.stem}-{key}"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        built = Path(scratch) / source.stem
        build(source, built)
        built.rename(target)
    return target
