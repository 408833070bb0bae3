"""skopeo and umoci: copying images between registries, archives and OCI layouts, and unpacking them.

Both are kept and known: what they do with manifests, whiteouts, hard links and hostile paths is not done again here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from controlplane.node.errors import StoreFailure

Tell = Callable[[str], None]

LONGEST_SECONDS = 3600.0
_PACKAGES = {"skopeo": "skopeo", "umoci": "umoci"}
_FATAL = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_NOT_ROOT = "65534"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Programs:
    """Runs one program at a time for its owner; `close` ends what runs, from any thread, and refuses what comes."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(environment or {})
        self._guard = threading.Lock()
        self._children: set[subprocess.Popen[str]] = set()
        self._closed = False

    def run(self, name: str, *arguments: str, scratch: Path, tell: Tell | None = None) -> str:
        """What the program prints on standard output; `tell` hears each line as it comes.

        StoreFailure with its own words when it fails, and with the package's name when it is not there. What it writes
        by itself, temporary files and caches, goes to `scratch`.
        """
        program = shutil.which(name)
        if program is None:
            raise StoreFailure(f"the program {name} is not installed", f"install the Debian package {_PACKAGES[name]}")
        complaints = scratch / f"{name}.err"
        with complaints.open("w") as errors:
            child = self._start([program, *arguments], errors.fileno(), scratch)
            timer = threading.Timer(LONGEST_SECONDS, child.kill)
            timer.start()
            try:
                out = _drain(child, tell)
                status = child.wait()
            finally:
                timer.cancel()
                child.kill()
                child.wait()
                with self._guard:
                    self._children.discard(child)
        if self._closed:
            raise StoreFailure("it was interrupted")
        if status:
            raise StoreFailure(_complaint(name, complaints.read_text(errors="replace"), out, status))
        return out

    def close(self) -> None:
        """Ends what runs."""
        with self._guard:
            self._closed = True
            for child in self._children:
                child.kill()

    def _start(self, argv: Sequence[str], errors: int, scratch: Path) -> subprocess.Popen[str]:
        # For root skopeo keeps a cache of what it knows of blobs in /var/lib/containers; for others in XDG_DATA_HOME.
        places = {"TMPDIR": str(scratch), "XDG_DATA_HOME": str(scratch), "_CONTAINERS_ROOTLESS_UID": _NOT_ROOT}
        environment = {**os.environ, **self._environment, **places}
        with self._guard:
            if self._closed:
                raise StoreFailure("it was interrupted")
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                errors="replace",
                env=environment,
            )
            self._children.add(child)
        return child


def _drain(child: subprocess.Popen[str], tell: Tell | None) -> str:
    assert child.stdout is not None
    with child.stdout as lines:
        if tell is None:
            return lines.read()
        found = []
        for line in lines:
            found.append(line)
            tell(line.strip())
        return "".join(found)


def _complaint(name: str, err: str, out: str, status: int) -> str:
    """The message of Go's log line, or whatever the program said last."""
    fatal = _FATAL.findall(err)
    if fatal:
        return str(fatal[-1]).replace('\\"', '"').replace("\\n", " ")
    said = [line.strip(" •\u2a2f") for line in _COLOURS.sub("", f"{out}\n{err}").splitlines() if line.strip()]
    return said[-1] if said else f"{name} ended with status {status}"
